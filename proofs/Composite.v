(** * Composite blocks: a composition of polynomials against an activation

    In the place of an activation with a kink an SLNN may have a block of several layers, whose part for one
    neuron is a function B of one variable: affine maps of a few numbers and polynomials of each of them in turn.

    THEOREM (composite_within_spec).  If [composite_within] says yes, |B(z) - s(z)| <= error for all z in [l, u].

    The interval is halved until each cell m + h u, |u| <= 1, is decided.  On a cell every number is known as

      first u + second u^2 + constant + sum_k along_k eta_k,  at most [beside] beside it   ([valid]).

    Sums, multiples and squares keep that.  A polynomial of degree above 2 leaves its first Taylor
    polynomial at the constant, and a bound of the rest; or, where this is not better, an interval for its
    values ([image]): between its turning points, which are named, the polynomial is checked to be monotone, so
    that it is largest and smallest at the ends or near a turning point.  What is beside a number becomes an
    eta of its own in the next affine map, so that (x + s)^2 - (x - s)^2 is near 4 x s. *)

From Coq Require Import Reals ZArith Lra Lia Psatz Bool.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh Smooth Activations Linear.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** Compositions *)

(** On [starts, ends] the polynomial is monotone, or, near a turning point, anything. *)
Record segment := Segment { starts : dyadic; ends : dyadic; turning : bool }.
(** A polynomial in t = (z - middle) factor; segments are needed above degree 2. *)
Record stage := Stage { middle_ : dyadic; factor : dyadic; in_powers : list dyadic; segments : list segment }.
Inductive composite_step := Combine (W : list (list dyadic)) (b : list dyadic) | Apply (l : list stage).

Definition stage_value (st : stage) (z : R) : R := dpoly (in_powers st) ((z - value (middle_ st)) * value (factor st)).
Definition step_value (s : composite_step) (v : list R) : list R :=
  match s with Combine W b => affine reals (map values W) (values b) v | Apply l => zip stage_value l v end.
Definition composition_value (steps : list composite_step) (z : R) : R :=
  hd 0 (fold_left (fun v s => step_value s v) steps [z]).

(** ** Polynomials *)

Definition at_point (q : list dyadic) (x : dyadic) : dyadic := fold_right (fun a r => dadd a (dmul x r)) d0 q.
Lemma at_point_spec q x : value (at_point q x) = dpoly q (value x).
Proof. induction q as [|a q IH]; simpl; [apply value_0|]. rewrite value_add, value_mul, IH. reflexivity. Qed.
(** q(m + x) *)
Fixpoint taylor (q : list dyadic) (m : dyadic) : list dyadic :=
  match q with [] => [] | a :: q' => let r := taylor q' m in plus dyadics [a] (plus dyadics (map (dmul m) r) (d0 :: r)) end.
Lemma taylor_spec q m x : dpoly (taylor q m) x = dpoly q (value m + x).
Proof.
  induction q as [|a q IH]; [reflexivity|]. cbn [taylor].
  rewrite !dpoly_plus, dpoly_shift, dpoly_scale, IH, !dpoly_cons. change (dpoly [] x) with 0. ring.
Qed.
Definition absolute (q : list dyadic) := map (size dyadics) q.
Lemma absolute_spec q x w : Rabs x <= w -> Rabs (dpoly q x) <= dpoly (absolute q) w.
Proof.
  intros H; induction q as [|a q IH]; [simpl; rewrite Rabs_R0; lra|].
  change (absolute (a :: q)) with (size dyadics a :: absolute q). rewrite !dpoly_cons, value_size, size_abs.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult.
  pose proof (Rabs_pos x); pose proof (Rabs_pos (dpoly q x)).
  assert (Rabs x * Rabs (dpoly q x) <= w * dpoly (absolute q) w) by (apply Rmult_le_compat; auto). lra.
Qed.

Definition not_negative_on (q : list dyadic) (a b : dyadic) : bool :=
  let (r, e) := composed (-4000) a (dsub b a) q in positive 60 (plus dyadics [dopp e] r).
Lemma not_negative_spec q a b x : not_negative_on q a b = true -> value a <= x <= value b -> 0 <= dpoly q x.
Proof.
  unfold not_negative_on; intros H Hx.
  destruct (place (value a) (value b) x Hx) as (v & Hv & Ex).
  pose proof (composed_spec (-4000) a (dsub b a) q v Hv) as P. rewrite value_sub, <- Ex in P.
  destruct (composed (-4000) a (dsub b a) q) as [r e]; cbn [fst snd] in P.
  apply (fun h => positive_spec _ _ v h Hv) in H. rewrite dpoly_plus, dpoly_cons, value_opp in H.
  change (dpoly [] v) with 0 in H. revert P; unfold Rabs; destruct (Rcase_abs _); lra.
Qed.

(** *** Images of intervals *)

Definition near_value (q : list dyadic) (a b : dyadic) : dyadic * dyadic :=
  let m := half (dadd a b) in
  match taylor q m with
  | [] => (d0, d0)
  | c :: r => let w := half (dsub b a) in let e := dmul w (at_point (absolute r) w) in (dsub c e, dadd c e)
  end.
Definition on_segment (q : list dyadic) (s : segment) (lo hi : dyadic) : dyadic * dyadic :=
  let (a, b) := (dmax (starts s) lo, dmin (ends s) hi) in
  if turning s then near_value q a b
  else let (x, y) := (at_point q a, at_point q b) in (dmin x y, dmax x y).
Fixpoint image_from (q : list dyadic) (ss : list segment) (lo hi : dyadic) : option (dyadic * dyadic) :=
  match ss with
  | [] => None
  | s :: ss' =>
      if dleb (starts s) lo then
        if dleb hi (ends s) then Some (on_segment q s lo hi)
        else if dleb (ends s) lo then image_from q ss' lo hi
        else match image_from q ss' (ends s) hi with
             | Some (x, y) => let (x', y') := on_segment q s lo (ends s) in Some (dmin x x', dmax y y')
             | None => None
             end
      else None
  end.
Definition segment_ok (q : list dyadic) (s : segment) : bool :=
  if turning s then true else
  let d := derivative q in
  if not_negative_on d (starts s) (ends s) then true else not_negative_on (map dopp d) (starts s) (ends s).
Definition stage_ok (st : stage) : bool := forallb (segment_ok (in_powers st)) (segments st).

Lemma near_value_spec q a b x : value a <= x <= value b -> inside (near_value q a b) (dpoly q x).
Proof.
  intros H. unfold near_value. set (m := half (dadd a b)). set (w := half (dsub b a)).
  assert (value m = (value a + value b) / 2) as Em by (unfold m; rewrite half_value, value_add; auto).
  assert (value w = (value b - value a) / 2) as Ew by (unfold w; rewrite half_value, value_sub; auto).
  replace x with (value m + (x - value m)) by ring. rewrite <- (taylor_spec q m).
  assert (Rabs (x - value m) <= value w) as Hw by (apply Rabs_le; lra). revert Hw. generalize (x - value m) as y. intros y Hw.
  destruct (taylor q m) as [|c r]; unfold inside; cbn [fst snd]; [simpl; rewrite value_0; lra|].
  rewrite dpoly_cons, value_sub, value_add, value_mul, at_point_spec.
  pose proof (absolute_spec r y _ Hw) as P.
  assert (Rabs (y * dpoly r y) <= value w * dpoly (absolute r) (value w)) as Q.
  { rewrite Rabs_mult. apply Rmult_le_compat; auto; apply Rabs_pos. }
  apply Rabs_le_between in Q. lra.
Qed.
Lemma monotone_spec q s : segment_ok q s = true -> turning s = false -> forall x y,
  value (starts s) <= x -> x <= y -> y <= value (ends s) ->
  forall t, x <= t <= y -> (dpoly q x <= dpoly q t <= dpoly q y) \/ (dpoly q y <= dpoly q t <= dpoly q x).
Proof.
  unfold segment_ok; intros H Es. rewrite Es in H. intros x y Hx Hxy Hy t Ht.
  assert (forall p, not_negative_on (derivative p) (starts s) (ends s) = true -> forall a b,
    value (starts s) <= a -> a <= b -> b <= value (ends s) -> dpoly p a <= dpoly p b) as HM.
  { intros p Hp a b Ha Hab Hb.
    pose proof (mean_value_low (dpoly p) _ a b 0 Hab (fun u _ => derivative_spec p u)) as P.
    specialize (P ltac:(intros u Hu; apply (not_negative_spec _ (starts s) (ends s)); auto; lra)). lra. }
  destruct (not_negative_on (derivative q) (starts s) (ends s)) eqn:E.
  - left. split; apply (HM q); auto; lra.
  - right.
    assert (forall a b, value (starts s) <= a -> a <= b -> b <= value (ends s) -> dpoly q b <= dpoly q a) as HN.
    { intros a b Ha Hab Hb.
      pose proof (mean_value_high (dpoly q) _ a b 0 Hab (fun u _ => derivative_spec q u)) as P.
      specialize (P ltac:(intros u Hu; pose proof (not_negative_spec _ (starts s) (ends s) u H ltac:(lra)) as N;
        rewrite dpoly_opp in N; lra)). lra. }
    split; apply HN; lra.
Qed.
Lemma on_segment_spec q s lo hi x : segment_ok q s = true -> value lo <= x <= value hi ->
  value (starts s) <= x <= value (ends s) -> inside (on_segment q s lo hi) (dpoly q x).
Proof.
  intros H H1 H2. unfold on_segment. cbv zeta.
  assert (value (starts s) <= value (dmax (starts s) lo) <= x) as Ha.
  { destruct (dmax_spec (starts s) lo). split; auto. destruct (dmax_cases (starts s) lo) as [-> | ->]; lra. }
  assert (x <= value (dmin (ends s) hi) <= value (ends s)) as Hb.
  { destruct (dmin_spec (ends s) hi). split; auto. destruct (dmin_cases (ends s) hi) as [-> | ->]; lra. }
  set (a := dmax (starts s) lo) in *. set (b := dmin (ends s) hi) in *. clearbody a b.
  destruct (turning s) eqn:E; [apply near_value_spec; lra|].
  unfold inside; cbn [fst snd].
  destruct (dmin_spec (at_point q a) (at_point q b)), (dmax_spec (at_point q a) (at_point q b)).
  rewrite !at_point_spec in *.
  destruct (monotone_spec q s H E (value a) (value b) ltac:(lra) ltac:(lra) ltac:(lra) x ltac:(lra)); lra.
Qed.
Lemma image_spec q ss : forallb (segment_ok q) ss = true -> forall lo hi i x, image_from q ss lo hi = Some i ->
  value lo <= x <= value hi -> inside i (dpoly q x).
Proof.
  induction ss as [|s ss IH]; intros H lo hi i x E Hx; cbn [image_from] in E; [discriminate|].
  cbn [forallb] in H. apply andb_prop in H as [Hs H].
  destruct (dleb (starts s) lo) eqn:E1; [|discriminate]. apply dleb_spec in E1.
  destruct (dleb hi (ends s)) eqn:E2.
  - apply dleb_spec in E2. injection E as <-. apply on_segment_spec; auto; lra.
  - destruct (dleb (ends s) lo); [eapply IH; eauto|].
    destruct (image_from q ss (ends s) hi) as [[y z]|] eqn:E3; [|discriminate].
    destruct (on_segment q s lo (ends s)) as [y' z'] eqn:E4. injection E as <-.
    destruct (dmin_spec y y'), (dmax_spec z z'). unfold inside; cbn [fst snd].
    destruct (Rle_dec x (value (ends s))) as [L|L].
    + pose proof (on_segment_spec q s lo (ends s) x Hs ltac:(lra) ltac:(lra)) as P. rewrite E4 in P.
      unfold inside in P; cbn [fst snd] in P. lra.
    + pose proof (IH H _ _ _ x E3 ltac:(lra)) as P. unfold inside in P; cbn [fst snd] in P. lra.
Qed.

(** ** Numbers on a cell *)

Record shape := Shape { still : linear; first : dyadic; second : dyadic }.
Definition valid (u : R) (eta : list R) (s : shape) (v : R) :=
  near eta (still s) (v - (value (first s) * u + value (second s) * (u * u))).

Definition fixed (c r : dyadic) : shape := Shape (Linear c [] r) d0 d0.
Definition sscale (a : dyadic) (s : shape) := Shape (lscale a (still s)) (dmul a (first s)) (dmul a (second s)).
Definition splus (s t : shape) := Shape (lplus (still s) (still t)) (dadd (first s) (first t)) (dadd (second s) (second t)).
Definition smoved (c r : dyadic) (s : shape) := Shape (moved c r (still s)) (first s) (second s).
(** Numbers that are multiples of 2^g. *)
Definition strimmed (g : Z) (s : shape) : shape :=
  Shape (trimmed g (moved d0 (Dyadic 1 (g + 1)) (still s))) (floor g (first s)) (floor g (second s)).
(** What is not u or u^2 without its constant; and all of it. *)
Definition loose (s : shape) := dadd (total dyadics (map (size dyadics) (along (still s)))) (beside (still s)).
Definition extent (s : shape) := dadd (dadd (size dyadics (first s)) (size dyadics (second s))) (loose s).
Definition range_of (s : shape) : dyadic * dyadic :=
  let c := constant (still s) in (dsub c (extent s), dadd c (extent s)).

Section Cell.
Variables (u : R) (Hu : Rabs u <= 1).

Lemma valid_fixed eta c r v : Rabs (v - value c) <= value r -> valid u eta (fixed c r) v.
Proof.
  intros H. unfold valid, near, fixed; cbn [still first second constant along beside map dot]. rewrite value_0.
  cbn [zero reals]. match goal with |- Rabs ?x <= _ => replace x with (v - value c) by ring end. exact H.
Qed.
Lemma valid_scale eta a s v : valid u eta s v -> valid u eta (sscale a s) (value a * v).
Proof.
  intros H. apply (near_scale eta a) in H. unfold valid, sscale; cbn [still first second]. rewrite !value_mul.
  match type of H with near _ _ ?x => match goal with |- near _ _ ?y => replace y with x by ring end end. exact H.
Qed.
Lemma valid_plus eta s t v w : valid u eta s v -> valid u eta t w -> valid u eta (splus s t) (v + w).
Proof.
  intros H1 H2. pose proof (near_plus _ _ _ _ _ H1 H2) as H. unfold valid, splus; cbn [still first second]. rewrite !value_add.
  match type of H with near _ _ ?x => match goal with |- near _ _ ?y => replace y with x by ring end end. exact H.
Qed.
Lemma valid_moved eta c r s v w : valid u eta s v -> Rabs (w - (v + value c)) <= value r -> valid u eta (smoved c r s) w.
Proof.
  intros H1 H2. unfold valid, smoved; cbn [still first second]. eapply near_moved; [exact H1|].
  match goal with |- Rabs ?x <= _ => replace x with (w - (v + value c)) by ring end. exact H2.
Qed.
Lemma square_small : 0 <= u * u <= 1.
Proof. apply Rabs_le_between in Hu. nra. Qed.
Lemma valid_trimmed g eta s v : Forall (within 1) eta -> valid u eta s v -> valid u eta (strimmed g s) v.
Proof.
  intros He H. unfold valid, strimmed; cbn [still first second]. apply near_trimmed; auto.
  eapply near_moved; [exact H|]. rewrite value_0.
  pose proof (floor_near g (first s)) as P1. pose proof (floor_near g (second s)) as P2.
  replace (value (Dyadic 1 (g + 1))) with (bpow radix2 g + bpow radix2 g)
    by (unfold value; cbn [mantissa exponent]; rewrite bpow_plus; change (bpow radix2 1) with 2; ring).
  match goal with |- Rabs ?x <= _ => replace x with
    ((value (first s) - value (floor g (first s))) * u + (value (second s) - value (floor g (second s))) * (u * u)) by ring end.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
  pose proof (Rabs_pos (value (first s) - value (floor g (first s)))). pose proof (Rabs_pos (value (second s) - value (floor g (second s)))).
  pose proof (Rabs_pos u). assert (Rabs u * Rabs u <= 1) by nra. apply Rplus_le_compat; nra.
Qed.

(** v apart: the constant, what u makes, and the rest. *)
Lemma valid_parts eta s v : Forall (within 1) eta -> valid u eta s v -> exists n,
  Rabs n <= value (loose s) /\ v = value (constant (still s)) + (value (first s) * u + value (second s) * (u * u)) + n.
Proof.
  intros He H. exists (v - (value (constant (still s)) + (value (first s) * u + value (second s) * (u * u)))). split; [|ring].
  unfold loose. rewrite value_add, value_total, values_size. unfold valid, near in H.
  pose proof (total_dot (values (along (still s))) eta He) as P.
  match goal with |- Rabs ?x <= _ => match type of H with Rabs ?y <= _ =>
    replace x with (y + dot reals (values (along (still s))) eta) by ring end end.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma valid_extent eta s v : Forall (within 1) eta -> valid u eta s v ->
  Rabs (v - value (constant (still s))) <= value (extent s).
Proof.
  intros He H. destruct (valid_parts eta s v He H) as (n & Hn & ->). unfold extent. rewrite !value_add, !value_size, !size_abs.
  pose proof square_small as H2. pose proof (Rabs_pos (value (first s))). pose proof (Rabs_pos (value (second s))).
  pose proof (Rabs_pos u).
  match goal with |- Rabs ?x <= _ => replace x with (value (first s) * u + value (second s) * (u * u) + n) by ring end.
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; auto.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult. apply Rplus_le_compat; [nra|].
  assert (Rabs u * Rabs u <= 1) by nra. nra.
Qed.
Lemma range_of_spec eta s v : Forall (within 1) eta -> valid u eta s v -> inside (range_of s) v.
Proof.
  intros He H. pose proof (valid_extent eta s v He H) as P. unfold inside, range_of; cbn [fst snd].
  rewrite value_sub, value_add. apply Rabs_le_between in P. lra.
Qed.

(** *** Squares *)

(** (a + b u + c u^2 + n)^2, the products of n with a kept as they are. *)
Definition squared (s : shape) : shape :=
  let t := still s in
  let a := constant t in
  let twice := dmul (Dyadic 1 1) a in
  let (b, c) := (first s, second s) in
  let l := loose s in
  let sizes := dadd (size dyadics b) (size dyadics c) in
  let extra := dadd (dadd (dmul (size dyadics (dmul (Dyadic 1 1) b)) (size dyadics c)) (dmul c c))
                 (dmul l (dadd (dmul (Dyadic 1 1) sizes) l)) in
  Shape (Linear (dmul a a) (map (dmul twice) (along t)) (dadd (dmul (size dyadics twice) (beside t)) extra))
    (dmul twice b) (dadd (dmul twice c) (dmul b b)).
Lemma value_2 : value (Dyadic 1 1) = 2.
Proof. unfold value; simpl; lra. Qed.
Lemma valid_squared eta s v : Forall (within 1) eta -> valid u eta s v -> valid u eta (squared s) (v * v).
Proof.
  intros He H. destruct (valid_parts eta s v He H) as (n & Hn & Ev).
  unfold valid, near in *. unfold squared. cbv zeta. cbn [still first second constant along beside].
  set (a := value (constant (still s))) in *. set (b := value (first s)) in *. set (c := value (second s)) in *.
  set (d := dot reals (values (along (still s))) eta) in *. set (l := value (loose s)) in *.
  rewrite values_mul, dot_scale. fold d. repeat rewrite ?value_add, ?value_mul, ?value_size, ?size_abs, ?value_2. fold a b c l.
  set (e := v - (b * u + c * (u * u)) - (a + d)).
  assert (Rabs e <= value (beside (still s))) as Hbe.
  { unfold e. match type of H with Rabs ?x <= _ => replace (v - (b * u + c * (u * u)) - (a + d)) with x by ring end. exact H. }
  assert (n = d + e) as En by (unfold e; lra).
  match goal with |- Rabs ?x <= _ => replace x with
    (2 * a * e + ((2 * b * c * (u * (u * u)) + c * c * ((u * u) * (u * u))) + n * (2 * (b * u + c * (u * u)) + n)))
    by (rewrite Ev, En; ring) end.
  pose proof square_small as H2.
  assert (Rabs (u * (u * u)) <= 1) as H3.
  { rewrite Rabs_mult, (Rabs_right (u * u)) by lra. pose proof (Rabs_pos u). nra. }
  assert (0 <= (u * u) * (u * u) <= 1) as H4 by nra.
  pose proof (Rabs_pos b) as Pb; pose proof (Rabs_pos c) as Pc; pose proof (Rabs_pos n) as Pn; pose proof (Rabs_pos u) as Pu.
  assert (Rabs (2 * (b * u + c * (u * u)) + n) <= 2 * (Rabs b + Rabs c) + l) as L1.
  { eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; auto. rewrite Rabs_mult, (Rabs_right 2) by lra.
    apply Rmult_le_compat_l; [lra|]. eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
    assert (Rabs u * Rabs u <= 1) by nra. apply Rplus_le_compat; nra. }
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
  { rewrite !Rabs_mult, (Rabs_right 2) by lra. pose proof (Rabs_pos a). apply Rmult_le_compat_l; auto. nra. }
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
  - eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
    + rewrite Rabs_mult. rewrite !Rabs_mult, (Rabs_right 2) by lra. pose proof (Rabs_pos (u * (u * u))) as P3.
      rewrite !Rabs_mult in H3, P3. assert (0 <= 2 * Rabs b * Rabs c) by (apply Rmult_le_pos; nra). nra.
    + rewrite Rabs_right by (apply Rle_ge, Rmult_le_pos; nra). nra.
  - rewrite Rabs_mult. apply Rmult_le_compat; auto. apply Rabs_pos.
Qed.

(** *** Polynomials *)

Definition value_shape (q : list dyadic) (ss : list segment) (t : shape) : shape :=
  let m := constant (still t) in
  let w := extent t in
  let (lo, hi) := range_of t in
  match taylor q m with
  | c :: b :: r =>
      let spread := dadd (dmul (size dyadics b) (dadd (size dyadics (second t)) (loose t)))
                      (dmul (dmul w w) (at_point (absolute r) w)) in
      let straight := Shape (Linear c [] spread) (dmul b (first t)) d0 in
      match image_from q ss lo hi with
      | Some (x, y) => if dleb spread (half (half (dsub y x))) then straight else fixed (half (dadd x y)) (half (dsub y x))
      | None => straight
      end
  | [c] => fixed c d0
  | [] => fixed d0 d0
  end.
Definition stage_shape (g : Z) (st : stage) (s : shape) : shape :=
  let t := strimmed g (smoved (dopp (dmul (middle_ st) (factor st))) d0 (sscale (factor st) s)) in
  strimmed g
  match in_powers st with
  | [] => fixed d0 d0
  | [c] => fixed c d0
  | [c; b] => smoved c d0 (sscale b t)
  | [c; b; a] => smoved c d0 (splus (sscale b t) (sscale a (squared t)))
  | q => value_shape q (segments st) t
  end.

Lemma value_shape_spec eta q ss t v : forallb (segment_ok q) ss = true -> Forall (within 1) eta ->
  valid u eta t v -> valid u eta (value_shape q ss t) (dpoly q v).
Proof.
  intros HS He H. unfold value_shape. cbv zeta.
  pose proof (valid_extent eta t v He H) as Hw. pose proof (range_of_spec eta t v He H) as HI.
  destruct (range_of t) as [lo hi]. unfold inside in HI; cbn [fst snd] in HI.
  assert (dpoly q v = dpoly (taylor q (constant (still t))) (v - value (constant (still t)))) as E
    by (rewrite taylor_spec; f_equal; ring).
  destruct (taylor q (constant (still t))) as [|c [|b r]]; rewrite E.
  - apply valid_fixed. simpl. rewrite value_0, Rminus_0_r, Rabs_R0. lra.
  - apply valid_fixed. simpl. match goal with |- Rabs ?x <= _ => replace x with 0 by ring end. rewrite Rabs_R0, value_0; lra.
  - set (y := v - value (constant (still t))) in *. set (w := extent t) in *.
    set (spread := dadd _ (dmul (dmul w w) _)).
    rewrite !dpoly_cons in *. set (value_there := value c + y * (value b + y * dpoly r y)) in *.
    assert (valid u eta (Shape (Linear c [] spread) (dmul b (first t)) d0) value_there) as Hs.
    { unfold valid, near; cbn [still first second constant along beside map dot]. rewrite value_0, value_mul. cbn [zero reals].
      destruct (valid_parts eta t v He H) as (n & Hn & Ev).
      match goal with |- Rabs ?x <= _ => replace x with
        (value b * (y - value (first t) * u) + y * y * dpoly r y) by (unfold value_there; ring) end.
      replace (y - value (first t) * u) with (value (second t) * (u * u) + n) by (unfold y; lra).
      unfold spread. rewrite value_add, !value_mul, value_size, size_abs, value_add, value_size, size_abs, at_point_spec.
      pose proof square_small as H2. pose proof (Rabs_pos (value (second t))).
      eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
      - rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|].
        eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; auto.
        rewrite Rabs_mult, (Rabs_right (u * u)) by lra. nra.
      - rewrite Rabs_mult. apply Rmult_le_compat; try apply Rabs_pos; [|apply absolute_spec; auto].
        rewrite Rabs_mult. apply Rmult_le_compat; auto; apply Rabs_pos. }
    destruct (image_from q ss lo hi) as [[x z]|] eqn:EI; auto.
    destruct (dleb spread (half (half (dsub z x)))); auto.
    pose proof (image_spec q ss HS lo hi _ v EI HI) as P. rewrite E in P. unfold inside in P; cbn [fst snd] in P.
    apply valid_fixed. rewrite !half_value, value_add, value_sub. apply Rabs_le. lra.
Qed.
Lemma stage_shape_spec g eta st s v : stage_ok st = true -> Forall (within 1) eta ->
  valid u eta s v -> valid u eta (stage_shape g st s) (stage_value st v).
Proof.
  intros HS He H. unfold stage_shape, stage_value. cbv zeta.
  set (t := strimmed g (smoved _ d0 (sscale (factor st) s))). set (x := (v - value (middle_ st)) * value (factor st)).
  assert (valid u eta t x) as Ht.
  { apply valid_trimmed; auto. eapply valid_moved; [apply valid_scale; exact H|].
    rewrite value_opp, value_mul, value_0. unfold x.
    match goal with |- Rabs ?y <= _ => replace y with 0 by ring end. rewrite Rabs_R0; lra. }
  clearbody t x. apply valid_trimmed; auto. unfold stage_ok in HS.
  assert (forall c y, valid u eta y (dpoly (in_powers st) x - value c) -> valid u eta (smoved c d0 y) (dpoly (in_powers st) x)) as HM.
  { intros c y Hy. eapply valid_moved; [exact Hy|]. rewrite value_0.
    match goal with |- Rabs ?z <= _ => replace z with 0 by ring end. rewrite Rabs_R0; lra. }
  destruct (in_powers st) as [|c [|b [|a [|a' q]]]] eqn:Eq.
  - apply valid_fixed. simpl. rewrite value_0, Rminus_0_r, Rabs_R0. lra.
  - apply valid_fixed. simpl. match goal with |- Rabs ?y <= _ => replace y with 0 by ring end. rewrite Rabs_R0, value_0; lra.
  - apply HM. replace (dpoly [c; b] x - value c) with (value b * x) by (simpl; ring). apply valid_scale; auto.
  - apply HM. replace (dpoly [c; b; a] x - value c) with (value b * x + value a * (x * x)) by (simpl; ring).
    apply valid_plus; apply valid_scale; auto. apply valid_squared; auto.
  - apply value_shape_spec; auto.
Qed.

(** *** Steps *)

Definition combined (g : Z) (ss : list shape) (w : list dyadic) (c : dyadic) : shape :=
  strimmed g (Shape (mapped (map still ss) 0 0 w c) (dot dyadics w (map first ss)) (dot dyadics w (map second ss))).
Definition step_shapes (g : Z) (s : composite_step) (ss : list shape) : list shape :=
  match s with Combine W b => zip (combined g ss) W b | Apply l => zip (stage_shape g) l ss end.
Definition step_ok (s : composite_step) : bool := match s with Combine _ _ => true | Apply l => forallb stage_ok l end.

Lemma step_shapes_spec g st ss v eta : step_ok st = true -> Forall (within 1) eta -> Forall2 (valid u eta) ss v ->
  exists eta', Forall (within 1) eta' /\ Forall2 (valid u eta') (step_shapes g st ss) (step_value st v).
Proof.
  intros HS He H. destruct st as [W b|l]; cbn [step_shapes step_value].
  - assert (Forall2 (near eta) (map still ss) (zip (fun s x => x - (value (first s) * u + value (second s) * (u * u))) ss v)) as HN.
    { clear - H. induction H; cbn [map zip]; constructor; auto. }
    destruct (fresh_symbols eta _ _ HN) as (f & F1 & F2 & F3). exists (f ++ eta).
    assert (Forall (within 1) (f ++ eta)) as HE by (rewrite Forall_app; auto). split; auto.
    clear HS. unfold affine. revert b; induction W as [|w W IH]; intros [|c b]; cbn [map zip]; constructor; auto.
    unfold combined. apply valid_trimmed; auto. unfold valid, near, mapped; cbn [still first second constant along beside].
    pose proof (dot_app4 0 (products dyadics w (map beside (map still ss))) 0 (combine_rows dyadics w (map along (map still ss))) [] f [] eta) as E.
    cbn [app] in E. rewrite E by (rewrite ?products_dyadic, ?map_length; auto; rewrite F2, map_length; auto).
    specialize (F3 w). rewrite value_add, value_0.
    assert (dot reals (values w) (zip (fun s x => x - (value (first s) * u + value (second s) * (u * u))) ss v) =
      dot reals (values w) v - (value (dot dyadics w (map first ss)) * u + value (dot dyadics w (map second ss)) * (u * u))) as E'.
    { rewrite !value_dot. clear - H. revert w. induction H as [|s x ss v Hs H IH]; intros [|a w]; cbn [map zip dot]; try (simpl; ring).
      rewrite IH. simpl; ring. }
    rewrite E' in F3. cbn [add reals].
    match goal with |- Rabs ?x <= _ => replace x with 0 by lra end. rewrite Rabs_R0; lra.
  - exists eta; split; auto. cbn [step_ok] in HS. revert l HS. induction H as [|s x ss v Hs H IH]; intros [|q l] HS; cbn [zip]; constructor.
    + cbn [forallb] in HS; apply andb_prop in HS as [H1 H2]. apply stage_shape_spec; auto.
    + cbn [forallb] in HS; apply andb_prop in HS as [H1 H2]. apply IH; auto.
Qed.
Definition composition_shape (g : Z) (steps : list composite_step) (m h : dyadic) : shape :=
  hd (fixed d0 d0) (fold_left (fun ss s => step_shapes g s ss) steps [Shape (Linear m [] d0) h d0]).
Lemma composition_shape_spec g steps m h : forallb step_ok steps = true ->
  exists eta, Forall (within 1) eta /\
    valid u eta (composition_shape g steps m h) (composition_value steps (value m + value h * u)).
Proof.
  unfold composition_shape, composition_value. set (z := value m + value h * u).
  assert (Forall2 (valid u []) [Shape (Linear m [] d0) h d0] [z]) as H.
  { constructor; [|constructor]. unfold valid, near, z; cbn [still first second constant along beside map dot].
    rewrite value_0. cbn [zero reals]. match goal with |- Rabs ?x <= _ => replace x with 0 by ring end. rewrite Rabs_R0; lra. }
  assert (Forall (within 1) (@nil R)) as He by constructor. revert He H.
  generalize [Shape (Linear m [] d0) h d0] as ss. generalize [z] as v. generalize (@nil R) as eta. clear z.
  induction steps as [|s steps IH]; intros eta v ss He H HS; cbn [fold_left].
  - exists eta; split; auto. destruct H; cbn [hd]; auto. apply valid_fixed. rewrite value_0, Rminus_0_r, Rabs_R0. lra.
  - cbn [forallb] in HS. apply andb_prop in HS as [H1 H2].
    destruct (step_shapes_spec g s ss v eta H1 He H) as (eta' & He' & H'). eapply IH; eauto.
Qed.
End Cell.

(** ** The error *)

(** Whether |B - s| <= error on [lo, hi], where s is the line c + b (z - a). *)
Fixpoint cells (fuel : nat) (g : Z) (steps : list composite_step) (a c b error lo hi : dyadic) : bool :=
  let (m, h) := (half (dadd lo hi), half (dsub hi lo)) in
  let line := Shape (Linear (dopp (dadd c (dmul b (dsub m a)))) [] d0) (dopp (dmul b h)) d0 in
  if dleb (magnitude_of (range_of (splus (composition_shape g steps m h) line))) error then true else
  match fuel with
  | O => false
  | S fuel' => if cells fuel' g steps a c b error lo m then cells fuel' g steps a c b error m hi else false
  end.
Fixpoint composite_within (g : Z) (steps : list composite_step) (l u error : dyadic) (ps : list piece) : bool :=
  match ps with
  | [] => true
  | p :: ps' =>
      let (x, y) := (clip_low p l, clip_high p u) in
      if dleb x y then
        match local p with
        | [c; b] => if cells 40 g steps (base p) c b (dsub error (rest p)) x y
                    then composite_within g steps l u error ps' else false
        | _ => false
        end
      else composite_within g steps l u error ps'
  end.
Definition steps_ok (steps : list composite_step) : bool := forallb step_ok steps.

Lemma cells_spec g steps a c b error : steps_ok steps = true -> forall fuel lo hi z,
  cells fuel g steps a c b error lo hi = true -> value lo <= z <= value hi ->
  Rabs (composition_value steps z - (value c + value b * (z - value a))) <= value error.
Proof.
  intros HS; induction fuel as [|fuel IH]; intros lo hi z H Hz; cbn [cells] in H.
  all: set (m := half (dadd lo hi)) in *; set (h := half (dsub hi lo)) in *.
  all: assert (value m = (value lo + value hi) / 2) as Em by (unfold m; rewrite half_value, value_add; auto).
  all: assert (value h = (value hi - value lo) / 2) as Eh by (unfold h; rewrite half_value, value_sub; auto).
  all: match type of H with (if dleb ?x _ then _ else _) = _ => destruct (dleb x error) eqn:E end.
  2: discriminate.
  1, 2: clear H; apply dleb_spec in E; eapply Rle_trans; [|exact E]; clear E.
  1, 2: assert (exists w, Rabs w <= 1 /\ z = value m + value h * w) as (w & Hw & Ez).
  1, 3: destruct (Req_dec (value lo) (value hi)) as [Elh|Elh];
    [exists 0; rewrite Rabs_R0; lra|
     exists ((z - value m) / value h); split; [|field; lra];
     apply Rabs_le; split; apply Rmult_le_reg_r with (value h); try lra;
     unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra].
  1, 2: destruct (composition_shape_spec w Hw g steps m h HS) as (eta & He & Hv); rewrite <- Ez in Hv;
    apply magnitude_spec; apply (range_of_spec w Hw eta); auto;
    match goal with |- valid _ _ (splus _ ?line) (?x - ?y) =>
      replace (x - y) with (x + - y) by ring; apply valid_plus; auto end;
    unfold valid, near; cbn [still first second constant along beside map dot];
    rewrite !value_opp, value_add, !value_mul, value_sub, value_0; cbn [zero reals];
    match goal with |- Rabs ?x <= _ => replace x with 0 by (rewrite Ez; ring) end; rewrite Rabs_R0; lra.
  destruct (cells fuel g steps a c b error lo m) eqn:E1; [|discriminate].
  destruct (Rle_dec z (value m)); [apply (IH lo m)|apply (IH m hi)]; auto; lra.
Qed.

(** The theorem of the head of this file. *)
Theorem composite_within_spec g steps l u error f ps : Forall (describes f) ps -> covers ps -> steps_ok steps = true ->
  composite_within g steps l u error ps = true ->
  forall z, value l <= z <= value u -> Rabs (composition_value steps z - f z) <= value error.
Proof.
  intros H HC HS HE z Hz. destruct (HC z) as (p & Hp & Hpz). clear HC.
  induction H as [|p' ps Hd H IH]; [contradiction|]. cbn [composite_within] in HE.
  set (x := clip_low p' l) in *; set (y := clip_high p' u) in *.
  pose proof (clip_spec p' l u z Hz) as Hxy; fold x y in Hxy.
  destruct (dleb x y) eqn:E.
  - destruct (local p') as [|c [|b [|]]] eqn:El; try discriminate.
    match type of HE with (if ?c then _ else _) = _ => destruct c eqn:EC; [|discriminate] end.
    destruct Hp as [->|Hp]; [|apply IH; auto]. specialize (Hxy Hpz). specialize (Hd z Hpz).
    pose proof (cells_spec _ _ _ _ _ _ HS _ _ _ z EC Hxy) as P. rewrite value_sub in P.
    rewrite El, line_value in Hd.
    match goal with |- Rabs ?w <= _ => replace w with
      ((composition_value steps z - (value c + value b * (z - value (base p)))) -
       (f z - (value c + value b * (z - value (base p))))) by ring end.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra.
  - destruct Hp as [->|Hp]; [|apply IH; auto]. specialize (Hxy Hpz).
    assert (dleb x y = true) by (apply dleb_spec; lra). congruence.
Qed.
