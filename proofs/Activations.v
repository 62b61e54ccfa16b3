(** * Activations: values, slopes, lines below and above, pieces

    For each activation s that the checker knows, and an interval [l, u] of dyadic numbers:

      [pieces]  polynomials that describe s on pieces of the line, with how far they are from it;
      [slopes]  numbers a, b with a (v - w) <= s(v) - s(w) <= b (v - w) for w <= v in [l, u];
      [below]   for a slope, an offset with slope t + offset <= s(t) on [l, u]; [above] likewise;
      [halves]  slopes a, b with s(t) = a t for t <= 0 and s(t) = b t for t >= 0, where there are such.

    identity, relu, leaky relu, abs and hard tanh are given exactly; tanh by its table, and the
    logistic sigmoid as (1 + tanh(z/2)) / 2. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

Inductive activation := Identity | Relu | Leaky_relu (slope : dyadic) | Abs | Hard_tanh | Tanh | Sigmoid.

Definition function (f : activation) (z : R) : R :=
  match f with
  | Identity => z
  | Relu => Rmax 0 z
  | Leaky_relu a => if Rle_dec 0 z then z else value a * z
  | Abs => Rabs z
  | Hard_tanh => Rmax (-1) (Rmin 1 z)
  | Tanh => tanh z
  | Sigmoid => / (1 + exp (- z))
  end.

Lemma sigmoid_tanh z : / (1 + exp (- z)) = (1 + tanh (z / 2)) / 2.
Proof.
  unfold tanh, sinh, cosh. replace (exp (- z)) with (exp (- (z / 2)) / exp (z / 2)).
  - pose proof (exp_pos (z / 2)); pose proof (exp_pos (- (z / 2))). field; split; lra.
  - unfold Rdiv at 2. rewrite <- exp_Ropp, <- exp_plus. f_equal; field.
Qed.

(** Slopes of the two lines that meet at 0. *)
Definition halves (f : activation) : option (dyadic * dyadic) :=
  match f with
  | Identity => Some (d1, d1)
  | Relu => Some (d0, d1)
  | Leaky_relu a => Some (a, d1)
  | Abs => Some (dopp d1, d1)
  | _ => None
  end.
Lemma halves_spec f a b z : halves f = Some (a, b) ->
  (z <= 0 -> function f z = value a * z) /\ (0 <= z -> function f z = value b * z).
Proof.
  destruct f; simpl; intros H; inversion H; subst; rewrite ?value_opp, ?value_1, ?value_0; split; intros Hz; try lra.
  - rewrite Rmax_left; lra.
  - rewrite Rmax_right; lra.
  - destruct (Rle_dec 0 z); [|auto]. replace z with 0 by lra; ring.
  - destruct (Rle_dec 0 z); [lra|contradiction].
  - rewrite Rabs_left1; lra.
  - rewrite Rabs_right; lra.
Qed.

(** ** Pieces *)

Definition line (from to : option dyadic) (offset slope : dyadic) := Piece from to d0 [offset; slope] d0.
Definition sigmoid_piece (p : piece) : piece :=
  let double (x : dyadic) := Dyadic (mantissa x) (exponent x + 1) in
  let half (x : dyadic) := Dyadic (mantissa x) (exponent x - 1) in
  Piece (option_map double (from p)) (option_map double (to p)) (double (base p))
    (plus dyadics [Dyadic 1 (-1)] (halved 1 (local p))) (half (rest p)).
Definition sigmoid_pieces := map sigmoid_piece tanh_pieces.
Definition pieces (f : activation) : list piece :=
  match f with
  | Tanh => tanh_pieces
  | Sigmoid => sigmoid_pieces
  | Hard_tanh => [line None (Some (dopp d1)) (dopp d1) d0; line (Some (dopp d1)) (Some d1) d0 d1;
                  line (Some d1) None d1 d0]
  | _ => match halves f with
         | Some (a, b) => [line None (Some d0) d0 a; line (Some d0) None d0 b]
         | None => []
         end
  end.

Lemma double_value x : value (Dyadic (mantissa x) (exponent x + 1)) = 2 * value x.
Proof. unfold value; simpl. rewrite bpow_plus. replace (bpow radix2 1) with 2 by (simpl; auto). ring. Qed.
Lemma half_value x : value (Dyadic (mantissa x) (exponent x - 1)) = value x / 2.
Proof.
  unfold value; simpl. unfold Z.sub; rewrite bpow_plus. replace (bpow radix2 (- (1))) with (/ 2) by (simpl; auto). field.
Qed.
Lemma line_value a b z : dpoly [a; b] z = value a + value b * z.
Proof. simpl; ring. Qed.
Lemma line_describes f a b from to : (forall z, after from z -> before z to -> f z = value a + value b * z) ->
  describes f (line from to a b).
Proof.
  intros H z [H1 H2]; simpl in H1, H2. unfold line; cbn [local base rest].
  rewrite line_value, value_0, Rminus_0_r, H, Rminus_diag_eq, Rabs_R0 by auto; lra.
Qed.
Lemma sigmoid_describes p : describes tanh p -> describes (function Sigmoid) (sigmoid_piece p).
Proof.
  intros H z [H1 H2]. unfold sigmoid_piece in *; cbn [from to base local rest] in *.
  rewrite half_value, double_value, dpoly_plus, halved_spec by lia. simpl function. rewrite sigmoid_tanh.
  specialize (H (z / 2)).
  replace ((z - 2 * value (base p)) / 2) with (z / 2 - value (base p)) by field.
  replace ((1 + tanh (z / 2)) / 2 - (dpoly [Dyadic 1 (-1)] (z - 2 * value (base p)) +
      bpow radix2 (- (1)) * dpoly (local p) (z / 2 - value (base p))))
    with ((tanh (z / 2) - dpoly (local p) (z / 2 - value (base p))) / 2)
    by (unfold value at 3; simpl; field).
  unfold Rdiv at 1. rewrite Rabs_mult, (Rabs_right (/ 2)) by lra.
  assert (in_piece p (z / 2)) as Hp; [|specialize (H Hp); lra].
  split.
  - destruct (from p); simpl in *; auto. rewrite double_value in H1; lra.
  - destruct (to p); simpl in *; auto. rewrite double_value in H2; lra.
Qed.

Theorem pieces_describe f : Forall (describes (function f)) (pieces f).
Proof.
  destruct f; try (simpl pieces; repeat constructor; apply line_describes; simpl; intros z H1 H2;
    rewrite ?value_opp, ?value_0, ?value_1 in *).
  - lra. - lra.
  - rewrite Rmax_left; lra. - rewrite Rmax_right; lra.
  - destruct (Rle_dec 0 z); [replace z with 0 by lra|]; lra. - destruct (Rle_dec 0 z); lra.
  - rewrite Rabs_left1; lra. - rewrite Rabs_right; lra.
  - rewrite (Rmin_right 1 z), Rmax_left; lra.
  - rewrite (Rmin_right 1 z), Rmax_right; lra.
  - rewrite (Rmin_left 1 z), Rmax_right; lra.
  - exact tanh_described.
  - simpl. apply Forall_forall; intros p Hp. apply in_map_iff in Hp as (q & <- & Hq).
    apply sigmoid_describes. pose proof tanh_described as H; rewrite Forall_forall in H; auto.
Qed.
Theorem pieces_cover f : covers (pieces f).
Proof.
  assert (forall a b, covers [line None (Some d0) d0 a; line (Some d0) None d0 b]) as H2.
  { intros a b z; destruct (Rle_dec z 0); eexists; split; [left; reflexivity| |right; left; reflexivity|];
      split; simpl; rewrite ?value_0; lra. }
  destruct f; try apply H2.
  - intros z; destruct (Rle_dec z (-1)); [|destruct (Rle_dec z 1)]; eexists; split.
    + left; reflexivity. + split; simpl; rewrite ?value_opp, ?value_1; lra.
    + right; left; reflexivity. + split; simpl; rewrite ?value_opp, ?value_1; lra.
    + right; right; left; reflexivity. + split; simpl; rewrite ?value_opp, ?value_1; lra.
  - exact tanh_covered.
  - intros z; destruct (tanh_covered (z / 2)) as (p & H3 & H4 & H5). exists (sigmoid_piece p); split.
    + apply in_map; auto.
    + split; simpl.
      * destruct (from p); simpl in *; auto. rewrite double_value; lra.
      * destruct (to p); simpl in *; auto. rewrite double_value; lra.
Qed.

(** ** Values of tanh at points *)

Definition holds_point (p : piece) (z : dyadic) : bool :=
  match from p with Some a => dleb a z | None => true end && match to p with Some b => dleb z b | None => true end.
(** Where z is, tanh is between these two. *)
Definition tanh_at (z : dyadic) : dyadic * dyadic :=
  match find (fun p => holds_point p z) tanh_pieces with
  | Some p =>
      let (q, e) := composed (-90) (dsub z (base p)) d0 (local p) in
      let (y, w) := (hd d0 q, dadd e (rest p)) in (dsub y w, dadd y w)
  | None => (dopp d1, d1)
  end.
Lemma holds_point_spec p z : holds_point p z = true -> in_piece p (value z).
Proof.
  unfold holds_point; intros H; apply andb_prop in H as [H1 H2].
  split; [destruct (from p)|destruct (to p)]; simpl; auto; apply dleb_spec; auto.
Qed.
Lemma tanh_at_spec z : value (fst (tanh_at z)) <= tanh (value z) <= value (snd (tanh_at z)).
Proof.
  unfold tanh_at. destruct (find _ _) as [p|] eqn:E.
  - apply find_some in E as [E1 E2]. apply holds_point_spec in E2.
    pose proof tanh_described as H; rewrite Forall_forall in H. specialize (H p E1 _ E2).
    pose proof (composed_spec (-90) (dsub z (base p)) d0 (local p) 0 ltac:(lra)) as Hc.
    rewrite value_sub, Rmult_0_r, Rplus_0_r in Hc.
    destruct (composed (-90) (dsub z (base p)) d0 (local p)) as [q e]; cbn [fst snd] in *.
    rewrite value_sub, !value_add. replace (dpoly q 0) with (value (hd d0 q)) in Hc
      by (destruct q; simpl; rewrite ?value_0; ring).
    revert H Hc; unfold Rabs. destruct (Rcase_abs _), (Rcase_abs _); lra.
  - cbn [fst snd]. rewrite value_opp, value_1. pose proof (tanh_below_1 (value z)). nra.
Qed.

(** ** Slopes *)

Definition dmin := minimum dyadics.
Definition dmax := maximum dyadics.
Lemma dmin_spec x y : value (dmin x y) <= value x /\ value (dmin x y) <= value y.
Proof. unfold dmin; rewrite value_minimum. destruct (minimum_spec (value x) (value y)) as (H1 & H2 & _); auto. Qed.
Lemma dmax_spec x y : value x <= value (dmax x y) /\ value y <= value (dmax x y).
Proof. unfold dmax; rewrite value_maximum. destruct (maximum_spec (value x) (value y)) as (H1 & H2 & _); auto. Qed.
Definition half (x : dyadic) := Dyadic (mantissa x) (exponent x - 1).
Definition dsquare (x : dyadic) := dmul x x.

(** 1 - y^2 for y between a and b. *)
Definition slopes_between (a b : dyadic) : dyadic * dyadic :=
  (dsub d1 (dmax (dsquare a) (dsquare b)),
   if andb (dleb a d0) (dleb d0 b) then d1 else dsub d1 (dmin (dsquare a) (dsquare b))).
Definition tanh_slopes (l u : dyadic) := slopes_between (fst (tanh_at l)) (snd (tanh_at u)).
Definition slopes (f : activation) (l u : dyadic) : dyadic * dyadic :=
  match f with
  | Tanh => tanh_slopes l u
  | Sigmoid => let (a, b) := tanh_slopes (half l) (half u) in (half (half a), half (half b))
  | Hard_tanh =>
      if andb (dleb (dopp d1) l) (dleb u d1) then (d1, d1)
      else if orb (dleb u (dopp d1)) (dleb d1 l) then (d0, d0) else (d0, d1)
  | _ =>
      match halves f with
      | Some (a, b) => if dleb d0 l then (b, b) else if dleb u d0 then (a, a) else (dmin a b, dmax a b)
      | None => (d0, d0)
      end
  end.

Definition slope_bounds (f : R -> R) (l u a b : R) :=
  forall v w, l <= v <= u -> l <= w <= u -> w <= v -> a * (v - w) <= f v - f w <= b * (v - w).

Lemma slopes_between_spec a b y : value a <= y <= value b ->
  value (fst (slopes_between a b)) <= 1 - y * y <= value (snd (slopes_between a b)).
Proof.
  intros Hy; unfold slopes_between, dsquare; cbn [fst snd]. rewrite value_sub, value_1.
  destruct (dmax_spec (dmul a a) (dmul b b)) as [H1 H2]. destruct (dmin_spec (dmul a a) (dmul b b)) as [H3 H4].
  rewrite !value_mul in *. split.
  - assert (y * y <= Rmax (value a * value a) (value b * value b)).
    { destruct (Rle_dec 0 y); [eapply Rle_trans; [|apply Rmax_r]|eapply Rle_trans; [|apply Rmax_l]]; nra. }
    assert (Rmax (value a * value a) (value b * value b) <= value (dmax (dmul a a) (dmul b b)))
      by (apply Rmax_lub; auto). lra.
  - destruct (dleb a d0) eqn:E1; [destruct (dleb d0 b) eqn:E2|]; cbn [andb]; rewrite ?value_sub, ?value_1.
    + nra.
    + assert (value b < 0).
      { apply Rnot_le_lt; intros H. assert (dleb d0 b = true) by (apply dleb_spec; rewrite value_0; auto). congruence. }
      nra.
    + assert (0 < value a).
      { apply Rnot_le_lt; intros H. assert (dleb a d0 = true) by (apply dleb_spec; rewrite value_0; auto). congruence. }
      nra.
Qed.
Lemma tanh_mean v w : w <= v -> exists t, w <= t <= v /\ tanh v - tanh w = (1 - tanh t * tanh t) * (v - w).
Proof.
  intros H. destruct (MVT_gen tanh w v (fun t => 1 - tanh t * tanh t)) as (t & Ht & E);
    rewrite ?Rmin_left, ?Rmax_right in * by lra.
  - intros t _; apply tanh_derivative.
  - intros t _; apply continuity_pt_filterlim. apply @ex_derive_continuous. eexists; apply tanh_derivative.
  - exists t; auto.
Qed.
Lemma tanh_slopes_spec l u :
  slope_bounds tanh (value l) (value u) (value (fst (tanh_slopes l u))) (value (snd (tanh_slopes l u))).
Proof.
  intros v w Hv Hw H. destruct (tanh_mean v w H) as (t & Ht & ->).
  pose proof (tanh_at_spec l); pose proof (tanh_at_spec u).
  pose proof (increasing_tanh (value l) t ltac:(lra)); pose proof (increasing_tanh t (value u) ltac:(lra)).
  destruct (slopes_between_spec (fst (tanh_at l)) (snd (tanh_at u)) (tanh t) ltac:(lra)) as [H1 H2].
  fold (tanh_slopes l u) in H1, H2. split; apply Rmult_le_compat_r; lra.
Qed.

Lemma two_lines f a b : (forall z, z <= 0 -> f z = a * z) -> (forall z, 0 <= z -> f z = b * z) ->
  forall l u, (0 <= l -> slope_bounds f l u b b) /\ (u <= 0 -> slope_bounds f l u a a) /\
  forall m M, m <= a -> m <= b -> a <= M -> b <= M -> slope_bounds f l u m M.
Proof.
  intros Ha Hb l u. split; [|split].
  - intros Hl v w Hv Hw H. rewrite !Hb by lra. lra.
  - intros Hu v w Hv Hw H. rewrite !Ha by lra. lra.
  - intros m M H1 H2 H3 H4 v w Hv Hw H. destruct (Rle_dec 0 w); [|destruct (Rle_dec v 0)].
    + rewrite !Hb by lra. nra.
    + rewrite !Ha by lra. nra.
    + rewrite (Hb v), (Ha w) by lra. nra.
Qed.
Lemma hard_tanh_slopes v w : w <= v -> 0 <= function Hard_tanh v - function Hard_tanh w <= v - w.
Proof. intros H; simpl; unfold Rmax, Rmin; repeat destruct (Rle_dec _ _); lra. Qed.

Theorem slopes_spec f l u :
  slope_bounds (function f) (value l) (value u) (value (fst (slopes f l u))) (value (snd (slopes f l u))).
Proof.
  destruct (halves f) as [[a b]|] eqn:E.
  - assert (slopes f l u = if dleb d0 l then (b, b) else if dleb u d0 then (a, a) else (dmin a b, dmax a b)) as ->
      by (destruct f; try discriminate; simpl in E |- *; congruence).
    destruct (two_lines (function f) (value a) (value b) (fun z => proj1 (halves_spec f a b z E))
      (fun z => proj2 (halves_spec f a b z E)) (value l) (value u)) as (H1 & H2 & H3).
    destruct (dleb d0 l) eqn:El; [apply H1; apply dleb_spec in El; rewrite value_0 in El; auto|].
    destruct (dleb u d0) eqn:Eu; [apply H2; apply dleb_spec in Eu; rewrite value_0 in Eu; auto|].
    destruct (dmin_spec a b); destruct (dmax_spec a b). apply H3; auto.
  - destruct f; try discriminate; simpl slopes.
    + destruct (dleb (dopp d1) l) eqn:E1; [destruct (dleb u d1) eqn:E2|]; cbn [andb].
      1: { intros v w Hv Hw H. apply dleb_spec in E1, E2. rewrite value_opp, value_1 in *. simpl.
           rewrite ?(Rmin_right 1), ?(Rmax_right (-1)) by (rewrite ?(Rmin_right 1) by lra; lra). rewrite value_1; lra. }
      all: destruct (dleb u (dopp d1)) eqn:E3; [|destruct (dleb d1 l) eqn:E4]; cbn [orb];
        intros v w Hv Hw H; cbn [fst snd]; rewrite ?value_0, ?value_1.
      all: try (pose proof (hard_tanh_slopes v w H); lra).
      all: simpl; rewrite ?dleb_spec, ?value_opp, ?value_1 in *.
      all: unfold Rmax, Rmin; repeat destruct (Rle_dec _ _); lra.
    + apply tanh_slopes_spec.
    + pose proof (tanh_slopes_spec (half l) (half u)) as H. destruct (tanh_slopes (half l) (half u)) as [a b].
      cbn [fst snd] in *. unfold half in *. rewrite !half_value in *. intros v w Hv Hw Hvw.
      specialize (H (v / 2) (w / 2) ltac:(lra) ltac:(lra) ltac:(lra)). simpl. rewrite !sigmoid_tanh. lra.
Qed.
