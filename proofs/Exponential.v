(** * Exponential functions: ELU, softplus, SiLU

    e^-x for x >= 0 solves f' = -f: its table follows from the one of the polynomial of degree 20 for e^-u on
    [0, 1/2], times the number with which the interval before ends.  The table of the logistic sigmoid is that of
    tanh; the one of softplus, ln(1 + e^z), is its integral from -48, where softplus is within e^-48 of 0; and

        SiLU = z sigmoid,    SiLU' = sigmoid + z sigmoid (1 - sigmoid)

    are products of polynomials.  ELU is a (e^z - 1) for z <= 0 and z for z >= 0.

    THEOREMS.  The polynomials of the tables are within 2^-80 of e^-x on [0, 48] ([decay_described]) and everywhere
    within 2^-69 of ELU with a = 1 ([elu_described]) and the sigmoid ([sigmoid_described]), 2^-64 of softplus
    ([softplus_described]), 2^-63 of SiLU and 2^-62 of its derivative ([silu_described], [silu_slope_described]);
    [tables_near] compares the bounds with these. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh Smooth.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** e^-x *)

Fixpoint decay_taylor (n : nat) (k t : Z) : list dyadic :=
  match n with O => [] | S n' => Dyadic t (-110) :: decay_taylor n' (k + 1) (- t / (k + 1)) end.
Definition decay_defect (T : list dyadic) := plus dyadics (derivative T) T.
Fixpoint decay_cells (n : nat) (taylor : list dyadic) (y : dyadic) : list (list dyadic * dyadic) :=
  match n with
  | O => []
  | S n' =>
      let T := map (fun a => floor (-100) (dmul y a)) taylor in
      let w := Dyadic 1 (-1) in
      (T, dmul w (norm_at w (decay_defect T))) :: decay_cells n' taylor (floor (-100) (horner T w))
  end.
Definition decay_table := decay_cells 96 (decay_taylor 21 0 (Z.shiftl 1 110)) d1.
Definition decay_pieces := Eval vm_compute in table (Dyadic 1 (-1)) d0 d1 d0 decay_table.
Definition decay_finally := Eval vm_compute in finally (Dyadic 1 (-1)) d0 d1 d0 decay_table.
(** e^-48 is below this. *)
Definition tiny : dyadic := let '(_, y, e) := decay_finally in dadd y e.

Lemma identity_derivative z : is_derive (fun z : R => z) z 1.
Proof. apply @is_derive_id. Qed.
Lemma opposite_derivative z : is_derive Ropp z (- (1)).
Proof. exact (is_derive_opp (V := R_NormedModule) (fun z => z) z 1 (identity_derivative z)). Qed.
Lemma decay_derivative z : is_derive (fun z => exp (- z)) z (- exp (- z)).
Proof.
  replace (- exp (- z)) with (- (1) * exp (- z)) by ring.
  exact (composed_derivative exp Ropp z _ _ (is_derive_exp (- z)) (opposite_derivative z)).
Qed.
(** As in Tanh.v, without the mean value theorem of the standard library. *)
Lemma exp_growing x y : x <= y -> exp x <= exp y.
Proof.
  intros H. pose proof (mean_value_low exp exp x y 0 H (fun u _ => is_derive_exp u)) as P.
  specialize (P ltac:(intros u _; left; apply exp_pos)). lra.
Qed.
Lemma exp_above_line x : 0 <= x -> 1 + x <= exp x.
Proof.
  intros H. pose proof (mean_value_low exp exp 0 x 1 H (fun u _ => is_derive_exp u)) as P.
  specialize (P ltac:(intros u Hu; rewrite <- exp_0; apply exp_growing; lra)). rewrite exp_0 in P. lra.
Qed.
Lemma decay_follow n taylor : forall c y, follow (fun z => exp (- z)) (Dyadic 1 (-1)) c (decay_cells n taylor y).
Proof.
  induction n as [|n IH]; intros c y; cbn [decay_cells follow]; [exact I|]. split; [|apply IH].
  set (T := map _ taylor).
  apply (defect_follows _ (fun z => - exp (- z)) (fun u => u) (fun _ => 1) _ _ _ _ decay_derivative).
  - intros u; apply @is_derive_id.
  - intros; lra.
  - intros u Hu. replace (dpoly (derivative T) u - - exp (- (value c + u)) + 1 * (dpoly T u - exp (- (value c + u))))
      with (dpoly (decay_defect T) u) by (unfold decay_defect; rewrite dpoly_plus; ring).
    apply norm_at_spec; auto.
Qed.
Theorem decay_described : Forall (describes (fun z => exp (- z))) decay_pieces /\ exp (-48) <= value tiny.
Proof.
  destruct (table_spec (fun z => exp (- z)) (Dyadic 1 (-1)) ltac:(unfold value; simpl; lra) decay_table d0 d1 d0
    (decay_follow _ _ _ _)) as [H1 H2].
  { rewrite !value_0, value_1, Ropp_0, exp_0, Rminus_diag_eq, Rabs_R0 by reflexivity; lra. }
  replace decay_pieces with (table (Dyadic 1 (-1)) d0 d1 d0 decay_table) by (vm_cast_no_check (eq_refl decay_pieces)).
  split; [exact H1|].
  replace (finally (Dyadic 1 (-1)) d0 d1 d0 decay_table) with decay_finally in H2 by (vm_cast_no_check (eq_refl decay_finally)).
  unfold tiny. set (t := decay_finally) in *. assert (fst (fst t) = Dyadic 96 (-1)) as Ec by reflexivity.
  destruct t as [[c y] e]; cbn [fst] in Ec; subst c. cbv beta iota in H2.
  replace (- value (Dyadic 96 (-1))) with (-48) in H2 by (unfold value; simpl; lra).
  rewrite value_add. revert H2; unfold Rabs; destruct (Rcase_abs _); lra.
Qed.

(** ** ELU *)

(** e^min(z, 0); on the left of 0, and everywhere. *)
Definition growth (z : R) := exp (Rmin z 0).
Definition left_growth_pieces : list piece :=
  Eval vm_compute in Piece None (Some (Dyadic (-48) 0)) d0 [] tiny :: rev (map (fun p => negated (mirrored p)) decay_pieces).
Definition growth_pieces := left_growth_pieces ++ [Piece (Some d0) None d0 [d1] d0].
Lemma left_growth_described : Forall (describes growth) left_growth_pieces.
Proof.
  replace left_growth_pieces
    with (Piece None (Some (Dyadic (-48) 0)) d0 [] tiny :: rev (map (fun p => negated (mirrored p)) decay_pieces))
    by (vm_cast_no_check (eq_refl left_growth_pieces)).
  destruct decay_described as [H1 H2]. constructor; [|apply Forall_rev].
  - intros z [_ Hz]; unfold growth; simpl in *. replace (value (Dyadic (-48) 0)) with (-48) in Hz by (unfold value; simpl; lra).
    rewrite Rmin_left, Rminus_0_r by lra. pose proof (exp_pos z). rewrite Rabs_right by lra.
    pose proof (exp_growing z (-48) Hz). lra.
  - assert (forallb (fun p => match from p with Some a => dleb d0 a | None => false end) decay_pieces = true) as HP
      by (vm_compute; reflexivity).
    clear H2; induction H1 as [|p ps Hp H IH]; cbn [map forallb] in *; [constructor|].
    apply andb_prop in HP as [HP1 HP2]. constructor; [|apply IH; auto].
    destruct (from p) as [a|] eqn:Ea; [|discriminate]. apply dleb_spec in HP1; rewrite value_0 in HP1.
    intros z Hz. assert (z <= 0) as Hz0.
    { destruct Hz as [_ Hz]; simpl in Hz. rewrite Ea in Hz; simpl in Hz. rewrite value_opp in Hz; lra. }
    pose proof (describes_negated _ _ (describes_mirrored _ p Hp) z Hz) as P. cbv beta in P.
    rewrite !Ropp_involutive in P. unfold growth. rewrite Rmin_left by lra. exact P.
Qed.
Lemma growth_described : Forall (describes growth) growth_pieces.
Proof.
  apply Forall_app; split; [exact left_growth_described|]. constructor; [|constructor].
  intros z [Hz _]; unfold growth; simpl in *. rewrite value_0 in *. rewrite Rmin_right, exp_0, value_1 by lra.
  replace (1 - (1 + (z - 0) * 0)) with 0 by ring. rewrite Rabs_R0; lra.
Qed.
Lemma growth_covered : covers growth_pieces.
Proof. apply complete_spec; vm_compute; reflexivity. Qed.

Definition elu (a z : R) := if Rle_dec 0 z then z else a * (exp z - 1).
(** a f + b *)
Definition multiple (a b : dyadic) (p : piece) : piece :=
  Piece (from p) (to p) (base p) (plus dyadics [b] (map (dmul a) (local p))) (dmul (size dyadics a) (rest p)).
Lemma describes_multiple f a b p : describes f p -> describes (fun z => value a * f z + value b) (multiple a b p).
Proof.
  intros H z Hz. specialize (H z Hz). unfold multiple; cbn [local base rest].
  rewrite dpoly_plus, dpoly_scale, dpoly_cons, value_mul, size_value. change (dpoly [] (z - value (base p))) with 0.
  replace (value a * f z + value b - _) with (value a * (f z - dpoly (local p) (z - value (base p)))) by ring.
  rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|exact H].
Qed.
Definition elu_pieces (a : dyadic) : list piece :=
  map (multiple a (dopp a)) left_growth_pieces ++ [Piece (Some d0) None d0 [d0; d1] d0].
Lemma elu_left a z : z <= 0 -> elu a z = a * growth z + - a.
Proof.
  intros Hz; unfold elu, growth. rewrite Rmin_left by lra. destruct (Rle_dec 0 z); [|ring].
  replace z with 0 by lra. rewrite exp_0; ring.
Qed.
Lemma elu_right a z : 0 <= z -> elu a z = z.
Proof. intros Hz; unfold elu; destruct (Rle_dec 0 z); [auto|contradiction]. Qed.
Theorem elu_described a : Forall (describes (elu (value a))) (elu_pieces a).
Proof.
  apply Forall_app; split; [|constructor; [|constructor]].
  - assert (forallb (fun p => match to p with Some b => dleb b d0 | None => false end) left_growth_pieces = true) as HP
      by (vm_compute; reflexivity).
    induction left_growth_described as [|p ps Hp H IH]; cbn [map forallb] in *; [constructor|].
    apply andb_prop in HP as [HP1 HP2]. constructor; [|apply IH; auto].
    intros z Hz. rewrite elu_left, <- value_opp; [apply (describes_multiple growth a (dopp a) p Hp z Hz)|].
    destruct Hz as [_ Hz]; simpl in Hz. destruct (to p) as [b|]; [|discriminate].
    apply dleb_spec in HP1; rewrite value_0 in HP1. simpl in Hz; lra.
  - intros z [Hz _]; simpl in *. rewrite value_0, value_1 in *. rewrite elu_right by lra.
    replace (z - (0 + (z - 0) * (1 + (z - 0) * 0))) with 0 by ring. rewrite Rabs_R0; lra.
Qed.
Lemma elu_covered a : covers (elu_pieces a).
Proof.
  intros z; destruct (growth_covered z) as (p & Hp & Hz). unfold elu_pieces.
  apply in_app_or in Hp as [Hp|[<-|[]]].
  - exists (multiple a (dopp a) p); split; [apply in_or_app; left; apply in_map; auto|exact Hz].
  - eexists; split; [apply in_or_app; right; left; reflexivity|exact Hz].
Qed.

(** On either side of 0 its derivative is continuous. *)
Definition elu_slopes_within (a l u lo hi : dyadic) : bool :=
  if (if dleb d0 l then true else values_within (map (multiple a d0) growth_pieces) l (dmin u d0) lo hi) then
    if dleb u d0 then true else andb (dleb lo d1) (dleb d1 hi)
  else false.
Lemma elu_slopes_spec a l u lo hi : elu_slopes_within a l u lo hi = true ->
  slope_bounds (elu (value a)) (value l) (value u) (value lo) (value hi).
Proof.
  unfold elu_slopes_within. intros H.
  destruct (if dleb d0 l then true else values_within (map (multiple a d0) growth_pieces) l (dmin u d0) lo hi) eqn:EL;
    [|discriminate].
  assert (forall v w, value l <= w -> w <= v -> v <= value u -> v <= 0 ->
    value lo * (v - w) <= elu (value a) v - elu (value a) w <= value hi * (v - w)) as HL.
  { intros v w Hw Hwv Hv H0. destruct (dleb d0 l) eqn:El.
    - apply dleb_spec in El; rewrite value_0 in El. replace v with w by lra. rewrite !Rminus_diag_eq by reflexivity. lra.
    - assert (value (dmin u d0) <= 0) as Hm by (destruct (dmin_spec u d0) as [_ Hm]; rewrite value_0 in Hm; exact Hm).
      assert (v <= value (dmin u d0)) as Hv'.
      { unfold dmin; rewrite value_minimum, value_0. destruct (minimum_spec (value u) 0) as (_ & _ & [->| ->]); lra. }
      rewrite !elu_left by lra.
      pose proof (slopes_within_spec (fun z => value a * exp z + - value a) (fun z => value a * growth z + value d0)
        (map (multiple a d0) growth_pieces) l (dmin u d0) lo hi
        (describes_all growth _ _ _ (fun p => describes_multiple growth a d0 p) growth_described)) as P.
      assert (covers (map (multiple a d0) growth_pieces)) as HC.
      { intros z; destruct (growth_covered z) as (p & Hp & Hz). exists (multiple a d0 p); split; [apply in_map; auto|exact Hz]. }
      specialize (P HC). assert (forall t, t <= 0 -> growth t = exp t) as Eg
        by (intros t Ht; unfold growth; rewrite Rmin_left by lra; auto).
      specialize (P ltac:(intros t Ht; rewrite value_0, Eg by lra; exact (sum_derivative _ _ t _ _ (is_derive_scal exp t (value a) _ (is_derive_exp t)) (constant_derivative (- value a) t))) EL v w ltac:(lra) ltac:(lra) Hwv).
      rewrite !Eg by lra. exact P. }
  assert (forall v w, value l <= w -> w <= v -> v <= value u -> 0 <= w ->
    value lo * (v - w) <= elu (value a) v - elu (value a) w <= value hi * (v - w)) as HR.
  { intros v w Hw Hwv Hv H0. destruct (dleb u d0) eqn:Eu.
    - apply dleb_spec in Eu; rewrite value_0 in Eu. replace v with w by lra. rewrite !Rminus_diag_eq by reflexivity. lra.
    - apply andb_prop in H as [H1 H2]; apply dleb_spec in H1, H2; rewrite value_1 in H1, H2. rewrite !elu_right by lra. nra. }
  intros v w Hv Hw Hwv. destruct (Rle_dec v 0) as [H0|H0]; [apply HL; lra|].
  destruct (Rle_dec 0 w) as [H1|H1]; [apply HR; lra|].
  specialize (HL 0 w ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)); specialize (HR v 0 ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)).
  lra.
Qed.

(** ** The logistic sigmoid *)

Definition sigmoid (z : R) := / (1 + exp (- z)).
Lemma sigmoid_tanh z : sigmoid z = (1 + tanh (z / 2)) / 2.
Proof.
  unfold sigmoid, tanh, sinh, cosh.
  replace (exp (- z)) with (exp (- (z / 2)) * exp (- (z / 2))) by (rewrite <- exp_plus; f_equal; field).
  replace (exp (z / 2)) with (/ exp (- (z / 2))) by (rewrite <- exp_Ropp; f_equal; ring).
  pose proof (exp_pos (- (z / 2))). field. split; nra.
Qed.
Lemma sigmoid_between z : 0 < sigmoid z < 1.
Proof.
  unfold sigmoid; pose proof (exp_pos (- z)). split; [apply Rinv_0_lt_compat; lra|].
  rewrite <- Rinv_1. apply Rinv_lt_contravar; lra.
Qed.
Lemma sigmoid_below_exp z : sigmoid z <= exp z.
Proof.
  unfold sigmoid. pose proof (exp_pos z); pose proof (exp_pos (- z)).
  assert (exp z * exp (- z) = 1) by (rewrite <- exp_plus; replace (z + - z) with 0 by ring; apply exp_0).
  apply Rmult_le_reg_r with (1 + exp (- z)); [lra|]. rewrite Rinv_l by lra. lra.
Qed.
Lemma sigmoid_opp z : sigmoid (- z) = 1 - sigmoid z.
Proof. rewrite !sigmoid_tanh. replace (- z / 2) with (- (z / 2)) by field. rewrite tanh_odd. field. Qed.

Definition sigmoid_piece (p : piece) : piece :=
  let double (x : dyadic) := Dyadic (mantissa x) (exponent x + 1) in
  Piece (option_map double (from p)) (option_map double (to p)) (double (base p))
    (plus dyadics [Dyadic 1 (-1)] (halved 1 (local p))) (half (rest p)).
Lemma sigmoid_describes p : describes tanh p -> describes sigmoid (sigmoid_piece p).
Proof.
  intros H z [H1 H2]. unfold sigmoid_piece in *; cbn [from to base local rest] in *.
  rewrite half_value, double_value, dpoly_plus, halved_spec, sigmoid_tanh by lia.
  specialize (H (z / 2)).
  replace ((z - 2 * value (base p)) / 2) with (z / 2 - value (base p)) by field.
  assert (forall x, dpoly [Dyadic 1 (-1)] x = / 2) as Eh by (intros x; unfold value; simpl; lra). rewrite Eh.
  replace (bpow radix2 (- (1))) with (/ 2) by (simpl; auto).
  replace ((1 + tanh (z / 2)) / 2 - (/ 2 + / 2 * dpoly (local p) (z / 2 - value (base p))))
    with ((tanh (z / 2) - dpoly (local p) (z / 2 - value (base p))) / 2) by field.
  unfold Rdiv at 1. rewrite Rabs_mult, (Rabs_right (/ 2)) by lra.
  assert (in_piece p (z / 2)) as Hp; [|specialize (H Hp); lra].
  split.
  - destruct (from p); simpl in *; auto. rewrite double_value in H1; lra.
  - destruct (to p); simpl in *; auto. rewrite double_value in H2; lra.
Qed.

(** On [-48, 48], from the left, each about its left end; and beyond. *)
Definition inner_sigmoid_pieces := Eval vm_compute in
  map (fun p => shortened 20 (rebased (sigmoid_piece p))) (rev (map mirrored (right d0 cells)) ++ right d0 cells).
Definition with_tails (far : Z) (left : list dyadic) (ps : list piece) (right : list dyadic) (r : dyadic) :=
  Piece None (Some (Dyadic (- far) 0)) d0 left r :: ps ++ [Piece (Some (Dyadic far 0)) None d0 right r].
Definition sigmoid_pieces := with_tails 48 [] inner_sigmoid_pieces [d1] tiny.

Lemma with_tails_described (f : R -> R) far left ps right r : Forall (describes f) ps ->
  (forall z, IZR far <= z -> Rabs (f (- z) - dpoly left (- z)) <= value r /\ Rabs (f z - dpoly right z) <= value r) ->
  Forall (describes f) (with_tails far left ps right r).
Proof.
  intros H HT. assert (value (Dyadic far 0) = IZR far /\ value (Dyadic (- far) 0) = - IZR far) as [E1 E2]
    by (unfold value; simpl; rewrite opp_IZR; split; lra).
  constructor; [|apply Forall_app; split; [exact H|constructor; [|constructor]]]; intros z [H1 H2];
    cbn [from to base local rest] in *; simpl in H1, H2; rewrite value_0, Rminus_0_r.
  - rewrite E2 in H2. destruct (HT (- z) ltac:(lra)) as [P _]. rewrite Ropp_involutive in P; exact P.
  - rewrite E1 in H1. apply HT; lra.
Qed.
Lemma tail_small z : 48 <= z -> exp (- z) <= value tiny.
Proof.
  intros Hz. eapply Rle_trans; [|apply decay_described]. apply exp_growing; lra.
Qed.
Lemma tail_moment z : 48 <= z -> z * exp (- z) <= value (Dyadic 1 (-63)).
Proof.
  intros Hz. pose proof (tail_small 48 ltac:(lra)) as H. pose proof (exp_pos (- z)) as Hp.
  assert (value (Dyadic 48 0) * value tiny <= value (Dyadic 1 (-63))) as H1
    by (rewrite <- value_mul; apply dleb_spec; vm_compute; reflexivity).
  replace (value (Dyadic 48 0)) with 48 in H1 by (unfold value; simpl; lra).
  replace (exp (- (48))) with (exp (z - 48) * exp (- z)) in H by (rewrite <- exp_plus; f_equal; ring).
  pose proof (exp_above_line (z - 48) ltac:(lra)). assert (z * exp (- z) <= 48 * (exp (z - 48) * exp (- z))) by nra. lra.
Qed.
Lemma inner_sigmoid_described : Forall (describes sigmoid) inner_sigmoid_pieces.
Proof.
  replace inner_sigmoid_pieces with
    (map (fun p => shortened 20 (rebased (sigmoid_piece p))) (rev (map mirrored (right d0 cells)) ++ right d0 cells))
    by (vm_cast_no_check (eq_refl inner_sigmoid_pieces)).
  apply (describes_all tanh).
  - intros p Hp. apply describes_shortened, describes_rebased, sigmoid_describes, Hp.
  - destruct cells_spec as (H & _). apply Forall_app; split; [|exact H]. apply Forall_rev.
    apply (describes_all tanh); [|exact H]. intros p Hp. apply (describes_equal (fun z => - tanh (- z))).
    + intros z; rewrite tanh_odd; ring.
    + apply describes_mirrored, Hp.
Qed.
Lemma sigmoid_tails z : 48 <= z -> Rabs (sigmoid (- z)) <= value tiny /\ Rabs (sigmoid z - 1) <= value tiny.
Proof.
  intros Hz. pose proof (sigmoid_below_exp (- z)). pose proof (tail_small z Hz). pose proof (sigmoid_between (- z)).
  rewrite Rabs_right by lra. split; [lra|]. rewrite sigmoid_opp in *. rewrite Rabs_left1 by lra. lra.
Qed.
Theorem sigmoid_described : Forall (describes sigmoid) sigmoid_pieces.
Proof.
  apply with_tails_described; [exact inner_sigmoid_described|]. intros z Hz. destruct (sigmoid_tails z Hz).
  rewrite dpoly_cons, value_1. change (dpoly [] z) with 0. change (dpoly [] (- z)) with 0.
  rewrite Rminus_0_r. replace (1 + z * 0) with 1 by ring. auto.
Qed.
Lemma sigmoid_covered : covers sigmoid_pieces.
Proof. apply complete_spec; vm_compute; reflexivity. Qed.

(** ** Softplus *)

(** ln x; the one of the standard library rests on excluded middle. *)
Definition logarithm (x : R) := RInt Rinv 1 x.
Lemma logarithm_derivative x : 0 < x -> is_derive logarithm x (/ x).
Proof.
  intros Hx. assert (forall t, 0 < t -> continuous Rinv t) as HC.
  { intros t Ht. apply (@ex_derive_continuous R_AbsRing R_NormedModule). eexists.
    apply (is_derive_inv (fun t => t) t 1); [apply @is_derive_id|lra]. }
  apply (is_derive_RInt Rinv logarithm 1 x); [|apply HC; exact Hx].
  exists (mkposreal x Hx). intros y Hy.
  apply (RInt_correct (V := R_CompleteNormedModule)), (ex_RInt_continuous (V := R_CompleteNormedModule)). intros t [Ht _]. apply HC.
  change (Rabs (y - x) < x) in Hy.
  assert (0 < y) by (revert Hy; unfold Rabs; destruct (Rcase_abs _); lra).
  eapply Rlt_le_trans; [|exact Ht]. apply Rmin_glb_lt; lra.
Qed.
Definition softplus (z : R) := logarithm (1 + exp z).
Definition softplus_cells := integrals (Dyadic 1 (-2)) d0 inner_sigmoid_pieces.
Definition inner_softplus_pieces := Eval vm_compute in
  map (shortened 20) (table (Dyadic 1 (-2)) (Dyadic (-48) 0) d0 tiny softplus_cells).
Definition softplus_pieces := with_tails 48 [] inner_softplus_pieces [d0; d1] tiny.

Lemma softplus_derivative z : is_derive softplus z (sigmoid z).
Proof.
  pose proof (exp_pos z) as H.
  replace (sigmoid z) with ((0 + exp z) * / (1 + exp z)) by (unfold sigmoid; rewrite exp_Ropp; field; split; lra).
  apply (composed_derivative logarithm (fun z => 1 + exp z) z); [apply logarithm_derivative; lra|].
  apply (sum_derivative (fun _ => 1) exp); [apply constant_derivative|apply is_derive_exp].
Qed.
Lemma softplus_below_exp z : 0 <= softplus z <= exp z.
Proof.
  pose proof (exp_pos z) as H. unfold softplus.
  assert (logarithm 1 = 0) as L by apply (RInt_point (V := R_CompleteNormedModule)).
  assert (forall u, 1 <= u <= 1 + exp z -> is_derive logarithm u (/ u)) as HD by (intros u Hu; apply logarithm_derivative; lra).
  pose proof (mean_value_low logarithm Rinv 1 (1 + exp z) 0 ltac:(lra) HD) as P.
  specialize (P ltac:(intros u Hu; left; apply Rinv_0_lt_compat; lra)).
  pose proof (mean_value_high logarithm Rinv 1 (1 + exp z) 1 ltac:(lra) HD) as Q.
  specialize (Q ltac:(intros u Hu; rewrite <- Rinv_1; apply Rinv_le_contravar; lra)). lra.
Qed.
(** softplus z - softplus (-z) - z has the derivative 0, and is 0 at 0. *)
Lemma softplus_opp z : 0 <= z -> softplus z = z + softplus (- z).
Proof.
  intros Hz. set (g := fun z => softplus z - (softplus (- z) + z)).
  assert (forall u, is_derive g u 0) as HD.
  { intros u. pose proof (composed_derivative softplus Ropp u _ _ (softplus_derivative (- u))
      (opposite_derivative u)) as P.
    pose proof (minus_derivative _ _ u _ _ (softplus_derivative u) (sum_derivative _ _ u _ _ P (identity_derivative u))) as Q.
    cbv beta in Q. match type of Q with is_derive _ _ ?e => replace e with 0 in Q end; [exact Q|].
    rewrite sigmoid_opp. ring. }
  pose proof (mean_value_low g (fun _ => 0) 0 z 0 Hz (fun u _ => HD u) (fun _ _ => Rle_refl 0)) as P.
  pose proof (mean_value_high g (fun _ => 0) 0 z 0 Hz (fun u _ => HD u) (fun _ _ => Rle_refl 0)) as Q.
  unfold g in P, Q. rewrite Ropp_0 in P, Q. lra.
Qed.
Theorem softplus_described : Forall (describes softplus) softplus_pieces.
Proof.
  apply with_tails_described.
  - replace inner_softplus_pieces with (map (shortened 20) (table (Dyadic 1 (-2)) (Dyadic (-48) 0) d0 tiny softplus_cells))
      by (vm_cast_no_check (eq_refl inner_softplus_pieces)).
    apply (describes_all softplus); [intros p; apply describes_shortened|].
    apply (table_spec softplus); [unfold value; simpl; lra| |].
    + apply (integrals_follow softplus sigmoid); [exact softplus_derivative|exact inner_sigmoid_described|].
      vm_cast_no_check (eq_refl true).
    + replace (value (Dyadic (-48) 0)) with (- (48)) by (unfold value; simpl; lra). rewrite value_0.
      pose proof (softplus_below_exp (- (48))); pose proof (tail_small 48 ltac:(lra)). rewrite Rabs_left1; lra.
  - intros z Hz. pose proof (softplus_below_exp (- z)); pose proof (tail_small z Hz). split.
    + change (dpoly [] (- z)) with 0. rewrite Rminus_0_r, Rabs_right; lra.
    + rewrite softplus_opp, !dpoly_cons, value_0, value_1 by lra. change (dpoly [] z) with 0. rewrite Rabs_right; lra.
Qed.
Lemma softplus_covered : covers softplus_pieces.
Proof. apply complete_spec; vm_compute; reflexivity. Qed.

(** ** SiLU *)

Definition silu (z : R) := z * sigmoid z.
Definition silu_slope (z : R) := sigmoid z + z * (sigmoid z * (1 - sigmoid z)).
(** z, and how large it is in the piece. *)
Definition argument (p : piece) : list dyadic := [base p; d1].
Definition farthest (p : piece) : dyadic :=
  match from p, to p with Some a, Some b => dmax (size dyadics a) (size dyadics b) | _, _ => d0 end.
Definition bounded (p : piece) : bool := match from p, to p with Some _, Some _ => dleb (rest p) d1 | _, _ => false end.
Definition times_argument (p : piece) : piece :=
  Piece (from p) (to p) (base p) (product (argument p) (local p)) (dmul (farthest p) (rest p)).
Definition silu_slope_piece (p : piece) : piece :=
  Piece (from p) (to p) (base p)
    (plus dyadics (local p) (product (argument p) (product (local p) (difference [d1] (local p)))))
    (dmul (dadd d1 (dadd (farthest p) (farthest p))) (rest p)).
Definition inner_silu_pieces := Eval vm_compute in map (fun p => shortened 20 (times_argument p)) inner_sigmoid_pieces.
Definition inner_silu_slope_pieces := Eval vm_compute in map (fun p => shortened 20 (silu_slope_piece p)) inner_sigmoid_pieces.
Definition silu_pieces := with_tails 48 [] inner_silu_pieces [d0; d1] (Dyadic 1 (-63)).
Definition silu_slope_pieces := with_tails 48 [] inner_silu_slope_pieces [d1] (Dyadic 1 (-62)).

Lemma farthest_spec p z : bounded p = true -> in_piece p z -> Rabs z <= value (farthest p) /\ value (rest p) <= 1.
Proof.
  unfold bounded, farthest; intros HB [H1 H2]. destruct (from p) as [a|]; [|discriminate].
  destruct (to p) as [b|]; [|discriminate]. apply dleb_spec in HB; rewrite value_1 in HB. split; [|exact HB].
  destruct (dmax_spec (size dyadics a) (size dyadics b)) as [M1 M2]. rewrite !size_value in *. simpl in H1, H2.
  pose proof (Rle_abs (value b)); pose proof (Rle_abs (- value a)) as P; rewrite Rabs_Ropp in P. apply Rabs_le; lra.
Qed.
Lemma argument_spec p z : dpoly (argument p) (z - value (base p)) = z.
Proof. unfold argument; rewrite !dpoly_cons, value_1. change (dpoly [] _) with 0. ring. Qed.
Lemma describes_times_argument f p : bounded p = true -> describes f p -> describes (fun z => z * f z) (times_argument p).
Proof.
  intros HB H z Hz; destruct (farthest_spec p z HB Hz) as [F _]; specialize (H z Hz).
  unfold times_argument; cbn [local base rest]. rewrite product_spec, argument_spec, value_mul.
  replace (z * f z - z * dpoly (local p) (z - value (base p))) with (z * (f z - dpoly (local p) (z - value (base p)))) by ring.
  rewrite Rabs_mult. apply Rmult_le_compat; auto using Rabs_pos.
Qed.
Lemma describes_silu_slope p : bounded p = true -> describes sigmoid p -> describes silu_slope (silu_slope_piece p).
Proof.
  intros HB H z Hz; destruct (farthest_spec p z HB Hz) as [F1 F2]; specialize (H z Hz).
  unfold silu_slope, silu_slope_piece; cbn [local base rest].
  rewrite dpoly_plus, !product_spec, argument_spec, difference_spec, dpoly_cons, value_1, value_mul, !value_add, value_1.
  change (dpoly [] (z - value (base p))) with 0. rewrite Rmult_0_r, Rplus_0_r.
  set (P := dpoly (local p) (z - value (base p))) in *. pose proof (sigmoid_between z).
  replace (sigmoid z + z * (sigmoid z * (1 - sigmoid z)) - (P + z * (P * (1 - P))))
    with ((1 + z * (1 - sigmoid z - P)) * (sigmoid z - P)) by ring.
  rewrite Rabs_mult. apply Rmult_le_compat; auto using Rabs_pos.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_R1, Rabs_mult. apply Rplus_le_compat_l.
  assert (Rabs (1 - sigmoid z - P) <= 2) by (revert H; unfold Rabs; repeat destruct (Rcase_abs _); lra).
  pose proof (Rabs_pos z); pose proof (Rabs_pos (1 - sigmoid z - P)). nra.
Qed.
Lemma inner_silu_described :
  Forall (describes silu) inner_silu_pieces /\ Forall (describes silu_slope) inner_silu_slope_pieces.
Proof.
  replace inner_silu_pieces with (map (fun p => shortened 20 (times_argument p)) inner_sigmoid_pieces)
    by (vm_cast_no_check (eq_refl inner_silu_pieces)).
  replace inner_silu_slope_pieces with (map (fun p => shortened 20 (silu_slope_piece p)) inner_sigmoid_pieces)
    by (vm_cast_no_check (eq_refl inner_silu_slope_pieces)).
  assert (forallb bounded inner_sigmoid_pieces = true) as HB by (vm_compute; reflexivity).
  induction inner_sigmoid_described as [|p ps Hp H IH]; cbn [map forallb] in *; [split; constructor|].
  apply andb_prop in HB as [HB1 HB2]. destruct (IH HB2).
  split; constructor; auto; apply describes_shortened; [apply (describes_times_argument sigmoid)|apply describes_silu_slope]; auto.
Qed.
Lemma silu_tails z : 48 <= z ->
  Rabs (silu (- z)) <= value (Dyadic 1 (-63)) /\ Rabs (silu z - z) <= value (Dyadic 1 (-63)) /\
  Rabs (silu_slope (- z)) <= value (Dyadic 1 (-62)) /\ Rabs (silu_slope z - 1) <= value (Dyadic 1 (-62)).
Proof.
  intros Hz. pose proof (tail_moment z Hz) as M. pose proof (sigmoid_below_exp (- z)) as E.
  pose proof (sigmoid_between (- z)) as B. unfold silu, silu_slope.
  assert (value (Dyadic 1 (-62)) = 2 * value (Dyadic 1 (-63))) as -> by (unfold value; simpl; lra).
  replace (sigmoid z) with (1 - sigmoid (- z)) by (rewrite sigmoid_opp; ring).
  set (x := sigmoid (- z)) in *. clearbody x. assert (0 <= z * x <= value (Dyadic 1 (-63))) by nra.
  assert (0 <= z * (x * (1 - x)) <= z * x) by nra. assert (x <= z * x) by nra.
  repeat split; apply Rabs_le; lra.
Qed.
Theorem silu_described : Forall (describes silu) silu_pieces.
Proof.
  apply with_tails_described; [apply inner_silu_described|].
  intros z Hz. destruct (silu_tails z Hz) as (H1 & H2 & _).
  rewrite !dpoly_cons, value_0, value_1. change (dpoly [] z) with 0. change (dpoly [] (- z)) with 0.
  rewrite Rminus_0_r. replace (0 + z * (1 + z * 0)) with z by ring. auto.
Qed.
Theorem silu_slope_described : Forall (describes silu_slope) silu_slope_pieces.
Proof.
  apply with_tails_described; [apply inner_silu_described|].
  intros z Hz. destruct (silu_tails z Hz) as (_ & _ & H1 & H2).
  rewrite !dpoly_cons, value_1. change (dpoly [] z) with 0. change (dpoly [] (- z)) with 0.
  rewrite Rminus_0_r. replace (1 + z * 0) with 1 by ring. auto.
Qed.
Lemma silu_covered : covers silu_pieces /\ covers silu_slope_pieces.
Proof. split; apply complete_spec; vm_compute; reflexivity. Qed.
Lemma silu_derivative z : is_derive silu z (silu_slope z).
Proof.
  unfold silu, silu_slope. pose proof (exp_pos (- z)) as H.
  pose proof (is_derive_inv (fun z => 1 + exp (- z)) z (0 + - exp (- z))) as P.
  specialize (P ltac:(apply (sum_derivative (fun _ => 1) (fun z => exp (- z))); [apply constant_derivative|apply decay_derivative])
    ltac:(lra)).
  pose proof (product_derivative (fun z => z) sigmoid z 1 _ (identity_derivative z) P) as Q.
  match type of Q with is_derive _ _ ?e => match goal with |- is_derive _ _ ?d => replace d with e end end; [exact Q|].
  unfold sigmoid; field; lra.
Qed.

(** ** How near the polynomials are *)

Definition rests_within (k : Z) (ps : list piece) : bool := forallb (fun p => dleb (rest p) (Dyadic 1 k)) ps.
Lemma tables_near :
  (rests_within (-80) decay_pieces && rests_within (-69) (elu_pieces d1) && rests_within (-69) sigmoid_pieces &&
   rests_within (-64) softplus_pieces && rests_within (-63) silu_pieces && rests_within (-62) silu_slope_pieces)%bool = true.
Proof. vm_compute; reflexivity. Qed.
