(** * The normal distribution and GELU

      gelu(z) = z Phi(z),    Phi(z) = 1/2 + A(z) / sqrt(2 pi),    A(z) = int_0^z b,    b(t) = e^(-t^2/2).

    THEOREM (gaussian_integral).  For x >= 0

        A(x)^2 + 2 int_0^(pi/4) e^(-x^2 / (2 cos^2 a)) da = pi/2,    so    pi/2 - 2 b(x) <= A(x)^2 <= pi/2.

    At 0 both sides are pi/2, and the derivative of the left one is 0: the integral, as a function of x^2, has the
    derivative -1/2 int_0^(pi/4) e^(-x^2 / (2 cos^2 a)) / cos^2 a da, and the antiderivative of its integrand is
    b(x) A(x tan a) / x.  So no value of pi is used: sqrt(2 pi) is near 2 A(12).

    The table of b solves f' = -z f; the one of A is its integral from 0; Phi, and gelu' = Phi + z b / sqrt(2 pi),
    follow on [-12, 12]; beyond, gelu is near 0 or z.

    THEOREMS (gelu_described, gelu_slope_described).  The polynomials of the tables are everywhere within 2^-69 of
    gelu and 2^-68 of gelu'; [gelu_tables_near] compares the bounds with these. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh Smooth Exponential.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** The integral of e^(-t^2/2) *)

Definition bell (t : R) := exp (- (t * t / 2)).
Definition area (z : R) := RInt bell 0 z.

Lemma bell_derivative z : is_derive bell z (- z * bell z).
Proof.
  apply (composed_derivative exp (fun t => - (t * t / 2)) z); [apply is_derive_exp|].
  pose proof (monomial_derivative (- / 2) 1 z) as P. simpl in P.
  replace (- z) with (- / 2 * ((1 + 1) * (z * 1))) by field.
  eapply is_derive_ext; [|exact P]. intros t; cbv beta. match goal with |- ?a = ?b => change (@eq R a b) end. field.
Qed.
Lemma derivative_continuous (f : R -> R) z d : is_derive f z d -> continuous f z.
Proof. intros H. apply (@ex_derive_continuous R_AbsRing R_NormedModule). exists d; exact H. Qed.
Lemma area_derivative z : is_derive area z (bell z).
Proof.
  apply (is_derive_RInt bell area 0 z); [|exact (derivative_continuous _ _ _ (bell_derivative z))].
  apply filter_forall; intros y. apply (RInt_correct (V := R_CompleteNormedModule)), (ex_RInt_continuous (V := R_CompleteNormedModule)).
  intros t _; exact (derivative_continuous _ _ _ (bell_derivative t)).
Qed.
Lemma area_0 : area 0 = 0.
Proof. apply (RInt_point (V := R_CompleteNormedModule)). Qed.
Lemma bell_pos t : 0 < bell t.
Proof. apply exp_pos. Qed.
Lemma area_growing x y : x <= y -> area x <= area y.
Proof.
  intros H. pose proof (mean_value_low area bell x y 0 H (fun t _ => area_derivative t)) as P.
  specialize (P ltac:(intros t _; left; apply bell_pos)). lra.
Qed.
(** A function with the derivative 0 does not change. *)
Lemma unchanging (f : R -> R) a b : a <= b -> (forall u, a <= u <= b -> is_derive f u 0) -> f b = f a.
Proof.
  intros H HD. pose proof (mean_value_low f (fun _ => 0) a b 0 H HD (fun _ _ => Rle_refl 0)).
  pose proof (mean_value_high f (fun _ => 0) a b 0 H HD (fun _ _ => Rle_refl 0)). lra.
Qed.
Lemma bell_opp z : bell (- z) = bell z.
Proof. unfold bell; f_equal; field. Qed.
Lemma area_opp z : area (- z) = - area z.
Proof.
  assert (forall z, 0 <= z -> area z + area (- z) = 0) as H.
  { intros x Hx. pose proof (unchanging (fun u => area u + area (- u)) 0 x Hx) as P. cbv beta in P.
    rewrite Ropp_0, area_0 in P. rewrite P; [ring|]. intros u _.
    pose proof (sum_derivative _ _ u _ _ (area_derivative u)
      (composed_derivative area Ropp u _ _ (area_derivative (- u)) (opposite_derivative u))) as D.
    rewrite bell_opp in D. replace 0 with (bell u + - (1) * bell u) by ring. exact D. }
  destruct (Rle_dec 0 z) as [Hz|Hz]; [specialize (H z Hz)|specialize (H (- z) ltac:(lra)); rewrite Ropp_involutive in H]; lra.
Qed.

(** ** pi *)

Lemma exp_near_0 v : -1 / 2 <= v <= 1 / 2 -> Rabs (exp v - 1 - v) <= 2 * (v * v).
Proof.
  assert (forall x, 1 + x <= exp x) as L.
  { intros x. destruct (Rle_dec 0 x) as [H|H]; [apply exp_above_line, H|].
    pose proof (mean_value_high exp exp x 0 1 ltac:(lra) (fun u _ => is_derive_exp u)) as P.
    specialize (P ltac:(intros u Hu; rewrite <- exp_0; apply exp_growing; lra)). rewrite exp_0 in P. lra. }
  intros H. pose proof (L v); pose proof (L (- v)) as L2.
  assert (exp v * exp (- v) = 1) as E by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  pose proof (exp_pos v). apply Rabs_le; split; [nra|].
  assert (exp v * (1 - v) <= 1) by nra. nra.
Qed.

(** 1 / (2 cos^2 a), and the integral on the left of the theorem. *)
Definition stretch (a : R) := / (2 * (cos a * cos a)).
Definition polar (q : R) := RInt (fun a => exp (- (q * stretch a))) 0 (PI / 4).
Definition polar_slope (q : R) := RInt (fun a => stretch a * exp (- (q * stretch a))) 0 (PI / 4).

Lemma quarter_pos : 0 < PI / 4 <= 1.
Proof. pose proof PI_RGT_0; pose proof PI_4; lra. Qed.
Lemma stretch_bounds a : 0 <= a <= PI / 4 -> / 2 <= cos a * cos a /\ / 2 <= stretch a <= 1.
Proof.
  intros Ha. pose proof (cos_ge_0 (2 * a) ltac:(pose proof PI_RGT_0; lra) ltac:(lra)) as H.
  rewrite cos_2a_cos in H. pose proof (COS_bound a). unfold stretch.
  assert (/ 2 <= cos a * cos a <= 1) as [H1 H2] by nra. split; [exact H1|].
  split; [apply Rinv_le_contravar; lra|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra.
Qed.
Lemma cos_derivative a : is_derive cos a (- sin a).
Proof. apply is_derive_Reals, derivable_pt_lim_cos. Qed.
Lemma sin_derivative a : is_derive sin a (cos a).
Proof. apply is_derive_Reals, derivable_pt_lim_sin. Qed.
Lemma stretch_continuous a : 0 <= a <= PI / 4 -> continuous stretch a.
Proof.
  intros Ha. destruct (stretch_bounds a Ha) as [H _].
  pose proof (product_derivative (fun _ => 2) _ a _ _ (constant_derivative 2 a)
    (product_derivative cos cos a _ _ (cos_derivative a) (cos_derivative a))) as D.
  eapply derivative_continuous. apply (is_derive_inv _ a _ D). lra.
Qed.
Lemma decay_continuous q a : 0 <= a <= PI / 4 -> continuous (fun a => exp (- (q * stretch a))) a.
Proof.
  intros Ha. apply (continuous_comp stretch (fun s => exp (- (q * s)))); [apply stretch_continuous, Ha|].
  eapply derivative_continuous.
  apply (composed_derivative exp (fun s => - (q * s)) (stretch a)); [apply is_derive_exp|].
  apply (is_derive_ext (fun s => - q * s ^ 1)); [|exact (monomial_derivative (- q) 0 (stretch a))].
  intros t; match goal with |- ?a = ?b => change (@eq R a b) end. ring.
Qed.
Lemma slope_continuous q a : 0 <= a <= PI / 4 -> continuous (fun a => stretch a * exp (- (q * stretch a))) a.
Proof.
  intros Ha. apply (continuous_mult (K := R_AbsRing) stretch (fun a => exp (- (q * stretch a))));
    [apply stretch_continuous, Ha|apply decay_continuous, Ha].
Qed.
Lemma integrable (f : R -> R) : (forall a, 0 <= a <= PI / 4 -> continuous f a) -> ex_RInt f 0 (PI / 4).
Proof.
  intros H; apply (ex_RInt_continuous (V := R_CompleteNormedModule)). pose proof quarter_pos.
  rewrite Rmin_left, Rmax_right by lra. exact H.
Qed.

Lemma polar_near q d : 0 <= q -> -1 / 2 <= d <= 1 / 2 ->
  Rabs (polar (q + d) - polar q - d * (- polar_slope q)) <= 2 * (d * d).
Proof.
  intros Hq Hd. pose proof quarter_pos as HP. unfold polar, polar_slope.
  set (f := fun a => exp (- ((q + d) * stretch a))). set (g := fun a => exp (- (q * stretch a))).
  set (h := fun a => stretch a * exp (- (q * stretch a))).
  pose proof (integrable f (decay_continuous (q + d))) as If. pose proof (integrable g (decay_continuous q)) as Ig.
  pose proof (integrable h (slope_continuous q)) as Ih.
  pose proof (is_RInt_plus _ _ _ _ _ _ (is_RInt_minus _ _ _ _ _ _ (RInt_correct _ _ _ If) (RInt_correct _ _ _ Ig))
    (is_RInt_scal _ _ _ d _ (RInt_correct _ _ _ Ih))) as I.
  assert (forall a, 0 <= a <= PI / 4 -> Rabs (f a - g a + d * h a) <= 2 * (d * d)) as B.
  { intros a Ha. destruct (stretch_bounds a Ha) as [_ Hs]. unfold f, g, h.
    set (s := stretch a) in *. clearbody s. pose proof (Rmult_le_pos q s Hq ltac:(lra)) as Hqs.
    replace (- ((q + d) * s)) with (- (q * s) + - (d * s)) by ring. rewrite exp_plus.
    assert (-1 / 2 <= - (d * s) <= 1 / 2) as Hv by (split; nra). pose proof (exp_near_0 _ Hv) as E.
    replace (exp (- (q * s)) * exp (- (d * s)) - exp (- (q * s)) + d * (s * exp (- (q * s))))
      with (exp (- (q * s)) * (exp (- (d * s)) - 1 - - (d * s))) by ring.
    pose proof (exp_growing (- (q * s)) 0 ltac:(lra)) as E1. rewrite exp_0 in E1. pose proof (exp_pos (- (q * s))).
    rewrite Rabs_mult, Rabs_right by lra. pose proof (Rabs_pos (exp (- (d * s)) - 1 - - (d * s))).
    assert (- (d * s) * - (d * s) <= d * d).
    { assert (0 <= d * d) by apply Rle_0_sqr. assert (s * s <= 1) by nra. nra. }
    nra. }
  pose proof (norm_RInt_le_const (V := R_NormedModule) (fun a => f a - g a + d * h a) 0 (PI / 4) _ (2 * (d * d)) ltac:(lra) B I) as N.
  change (Rabs (RInt f 0 (PI / 4) - RInt g 0 (PI / 4) + d * RInt h 0 (PI / 4)) <= (PI / 4 - 0) * (2 * (d * d))) in N.
  match goal with |- Rabs ?x <= _ => match type of N with Rabs ?y <= _ => replace x with y by ring end end.
  eapply Rle_trans; [exact N|]. nra.
Qed.
Lemma polar_derivative q : 0 <= q -> is_derive polar q (- polar_slope q).
Proof.
  intros Hq. apply is_derive_Reals. intros eps Heps.
  assert (0 < Rmin (1 / 2) (eps / 2)) as Hd by (apply Rmin_glb_lt; lra).
  exists (mkposreal _ Hd). intros d H0 Hlt; simpl in Hlt.
  pose proof (Rmin_l (1 / 2) (eps / 2)); pose proof (Rmin_r (1 / 2) (eps / 2)).
  pose proof (Rle_abs d); pose proof (Rle_abs (- d)) as Hn; rewrite Rabs_Ropp in Hn.
  pose proof (polar_near q d Hq ltac:(lra)) as N. pose proof (Rabs_pos_lt d H0) as Hp.
  replace ((polar (q + d) - polar q) / d - - polar_slope q)
    with ((polar (q + d) - polar q - d * (- polar_slope q)) * / d) by (field; auto).
  rewrite Rabs_mult, Rabs_inv. apply Rmult_lt_reg_r with (Rabs d); [exact Hp|].
  rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  replace (d * d) with (Rabs d * Rabs d) in N by (rewrite <- Rabs_mult; apply Rabs_right; nra). nra.
Qed.

(** A(x tan a) is the antiderivative, for pi/4 and 0. *)
Lemma polar_slope_area x : 2 * x * polar_slope (x * x) = bell x * area x.
Proof.
  pose proof quarter_pos as HP. set (k := fun a => stretch a * exp (- (x * x * stretch a))).
  pose proof (integrable k (slope_continuous (x * x))) as Ik.
  assert (forall a, Rmin 0 (PI / 4) <= a <= Rmax 0 (PI / 4) -> 0 <= a <= PI / 4) as HI
    by (intros a; rewrite Rmin_left, Rmax_right by lra; auto).
  assert (is_RInt (fun a => 2 * x * k a) 0 (PI / 4)
    (bell x * area (x * (sin (PI / 4) / cos (PI / 4))) - bell x * area (x * (sin 0 / cos 0)))) as I.
  { apply (is_RInt_derive (fun a => bell x * area (x * (sin a / cos a)))); intros a Ha; apply HI in Ha;
      destruct (stretch_bounds a Ha) as [Hc _].
    - assert (cos a <> 0) as Hc0 by (intros E; rewrite E in Hc; lra).
      pose proof (is_derive_div sin cos a _ _ (sin_derivative a) (cos_derivative a) Hc0) as D.
      pose proof (composed_derivative area _ a _ _ (area_derivative _) (is_derive_scal _ a x _ D)) as D2.
      pose proof (is_derive_scal _ a (bell x) _ D2) as D3.
      match type of D3 with is_derive _ _ ?e => match goal with |- is_derive _ _ ?d => replace d with e; [exact D3|] end end.
      unfold k, stretch, bell. pose proof (sin2_cos2 a) as S; unfold Rsqr in S.
      replace (- (x * x * / (2 * (cos a * cos a))))
        with (- (x * x / 2) + - (x * (sin a / cos a) * (x * (sin a / cos a)) / 2)).
      + rewrite exp_plus. replace (cos a * cos a - sin a * - sin a) with 1 by lra. field; exact Hc0.
      + replace (x * (sin a / cos a) * (x * (sin a / cos a))) with (x * x * (sin a * sin a) / (cos a * cos a)) by (field; exact Hc0).
        replace (sin a * sin a) with (1 - cos a * cos a) by lra. field; exact Hc0.
    - apply (continuous_scal_r (K := R_AbsRing) (V := R_NormedModule) (2 * x) k), (slope_continuous (x * x) a Ha). }
  apply (is_RInt_unique (V := R_CompleteNormedModule)) in I.
  pose proof (RInt_scal (V := R_CompleteNormedModule) k 0 (PI / 4) (2 * x) Ik) as E.
  change (RInt (fun a => 2 * x * k a) 0 (PI / 4) = 2 * x * RInt k 0 (PI / 4)) in E.
  unfold polar_slope; fold k. rewrite <- E, I, sin_0, sin_cos_PI4. pose proof (stretch_bounds (PI / 4) ltac:(lra)) as [Hc _].
  replace (cos (PI / 4) / cos (PI / 4)) with 1 by (field; intros E0; rewrite E0 in Hc; lra).
  replace (x * (0 / cos 0)) with 0 by (unfold Rdiv; ring). rewrite area_0, !Rmult_1_r. ring.
Qed.

Theorem gaussian_integral x : 0 <= x ->
  area x * area x + 2 * polar (x * x) = PI / 2 /\ PI / 2 - 2 * bell x <= area x * area x <= PI / 2.
Proof.
  intros Hx. pose proof quarter_pos as HP.
  assert (area x * area x + 2 * polar (x * x) = PI / 2) as E.
  { pose proof (unchanging (fun x => area x * area x + 2 * polar (x * x)) 0 x Hx) as P. cbv beta in P. rewrite P.
    - rewrite area_0, !Rmult_0_l. unfold polar.
      rewrite (RInt_ext _ (fun _ => 1)) by (intros; rewrite Rmult_0_l, Ropp_0; apply exp_0).
      rewrite RInt_const. change (scal (PI / 4 - 0) 1) with ((PI / 4 - 0) * 1). field.
    - intros u Hu.
      pose proof (product_derivative area area u _ _ (area_derivative u) (area_derivative u)) as D1.
      pose proof (composed_derivative polar (fun u => u * u) u _ _ (polar_derivative (u * u) ltac:(nra))
        (product_derivative (fun u => u) (fun u => u) u _ _ (identity_derivative u) (identity_derivative u))) as D2.
      pose proof (sum_derivative _ _ u _ _ D1 (is_derive_scal _ u 2 _ D2)) as D.
      match type of D with is_derive _ _ ?e => replace 0 with e; [exact D|] end.
      pose proof (polar_slope_area u). lra. }
  split; [exact E|].
  assert (0 <= polar (x * x) <= bell x); [|lra]. unfold polar.
  pose proof (integrable _ (decay_continuous (x * x))) as I. pose proof (bell_pos x).
  assert (forall a, 0 < a < PI / 4 -> 0 <= exp (- (x * x * stretch a)) <= bell x) as B.
  { intros a Ha. destruct (stretch_bounds a ltac:(lra)) as [_ Hs]. split; [left; apply exp_pos|].
    unfold bell; apply exp_growing. nra. }
  split.
  - apply RInt_ge_0; [lra|exact I|intros a Ha; apply B; exact Ha].
  - eapply Rle_trans; [apply (RInt_le _ (fun _ => bell x)); [lra|exact I|apply ex_RInt_const|intros a Ha; apply B; exact Ha]|].
    rewrite RInt_const. change (scal (PI / 4 - 0) (bell x)) with ((PI / 4 - 0) * bell x). nra.
Qed.

(** ** Tables of b and A on [0, 12] *)

Definition width := Dyadic 1 (-2).
(** From c = j / 4: (k + 1) a_(k+1) = - (c a_k + a_(k-1)). *)
Fixpoint bell_taylor (n : nat) (j k before now : Z) : list dyadic :=
  match n with
  | O => []
  | S n' => Dyadic now (-110) :: bell_taylor n' j (k + 1) now (- (j * now + 4 * before) / (4 * (k + 1)))
  end.
Definition bell_defect (c : dyadic) (T : list dyadic) := plus dyadics (derivative T) (product [c; d1] T).
Fixpoint bell_cells (n : nat) (c y : dyadic) : list (list dyadic * dyadic) :=
  match n with
  | O => []
  | S n' =>
      let T := bell_taylor 28 (scaled c (-2)) 0 0 (scaled y (-110)) in
      (T, dmul width (norm_at width (bell_defect c T))) :: bell_cells n' (dadd c width) (floor (-110) (horner T width))
  end.
Definition bell_table := bell_cells 48 d0 d1.
Definition bell_pieces := Eval vm_compute in table width d0 d1 d0 bell_table.
Definition area_cells := integrals width d0 bell_pieces.
Definition area_pieces := Eval vm_compute in table width d0 d0 d0 area_cells.
Definition area_finally := Eval vm_compute in finally width d0 d0 d0 area_cells.

Lemma width_value : value width = / 4.
Proof. unfold value; simpl; lra. Qed.
Lemma bell_follows c T : 0 <= value c -> follows bell width c T (dmul width (norm_at width (bell_defect c T))).
Proof.
  intros Hc. pose proof width_value as Ew.
  apply (defect_follows bell (fun z => - z * bell z) (dpoly [d0; c; Dyadic 1 (-1)]) (fun u => value c + u) _ _ _ _ bell_derivative).
  - intros u. pose proof (derivative_spec [d0; c; Dyadic 1 (-1)] u) as D.
    match type of D with is_derive _ _ ?e => replace (value c + u) with e; [exact D|] end.
    unfold derivative; cbn [tl derivative_from]. rewrite !dpoly_cons, !value_mul. change (dpoly [] u) with 0.
    assert (value (Dyadic 1 0) = 1 /\ value (Dyadic (1 + 1) 0) = 2 /\ value (Dyadic 1 (-1)) = / 2) as (-> & -> & ->)
      by (unfold value; simpl; repeat split; lra). field.
  - intros u Hu. lra.
  - intros u Hu. replace (dpoly (derivative T) u - - (value c + u) * bell (value c + u) + (value c + u) * (dpoly T u - bell (value c + u)))
      with (dpoly (bell_defect c T) u).
    + apply norm_at_spec; auto.
    + unfold bell_defect. rewrite dpoly_plus, product_spec, !dpoly_cons, value_1. change (dpoly [] u) with 0. ring.
Qed.
Lemma bell_follow n : forall c y, 0 <= value c -> follow bell width c (bell_cells n c y).
Proof.
  induction n as [|n IH]; intros c y Hc; cbn [bell_cells follow]; [exact I|].
  split; [apply bell_follows; exact Hc|apply IH; rewrite value_add, width_value; lra].
Qed.
Lemma bell_described : Forall (describes bell) bell_pieces.
Proof.
  replace bell_pieces with (table width d0 d1 d0 bell_table) by (vm_cast_no_check (eq_refl bell_pieces)).
  apply (table_spec bell); [rewrite width_value; lra|apply bell_follow; rewrite value_0; lra|].
  rewrite !value_0, value_1. unfold bell. replace (- (0 * 0 / 2)) with 0 by field.
  rewrite exp_0, Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
Qed.
Lemma area_described : Forall (describes area) area_pieces /\
  let '(_, y, e) := area_finally in Rabs (value y - area 12) <= value e.
Proof.
  destruct (table_spec area width ltac:(rewrite width_value; lra) area_cells d0 d0 d0) as [H1 H2].
  - apply (integrals_follow area bell); [exact area_derivative|exact bell_described|]. vm_cast_no_check (eq_refl true).
  - rewrite !value_0, area_0, Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
  - replace area_pieces with (table width d0 d0 d0 area_cells) by (vm_cast_no_check (eq_refl area_pieces)).
    split; [exact H1|].
    replace (finally width d0 d0 d0 area_cells) with area_finally in H2 by (vm_cast_no_check (eq_refl area_finally)).
    set (t := area_finally) in *. assert (fst (fst t) = Dyadic 48 (-2)) as Ec by reflexivity.
    destruct t as [[c y] e]; cbn [fst] in Ec; subst c. cbv beta iota in H2.
    replace (value (Dyadic 48 (-2))) with 12 in H2 by (unfold value; simpl; lra). exact H2.
Qed.

(** ** 1 / sqrt(2 pi) *)

Definition root := sqrt (2 * PI).
(** Near 1 / (2 A(12)), and how far the product of the two is from 1 at most. *)
Definition reciprocal := Eval vm_compute in
  let '(_, y, _) := area_finally in Dyadic (2 ^ 220 / (2 * scaled y (-110))) (-110).
Definition reciprocal_error_from (y e : dyadic) :=
  let twice := dmul (Dyadic 1 1) reciprocal in
  ceiling (-130) (dadd (size dyadics (dsub (dmul twice y) d1)) (dmul twice (dadd (Dyadic 1 (-102)) e))).
Definition reciprocal_error := Eval vm_compute in let '(_, y, e) := area_finally in reciprocal_error_from y e.

Lemma bell_tail z : 12 <= z -> z * bell z <= value tiny.
Proof.
  intros Hz. pose proof (exp_above_line z ltac:(lra)). pose proof (bell_pos z).
  apply Rle_trans with (exp z * bell z); [nra|]. unfold bell. rewrite <- exp_plus.
  eapply Rle_trans; [|exact (tail_small 48 ltac:(lra))]. apply exp_growing. nra.
Qed.
Lemma bell_12 : bell 12 <= value (Dyadic 1 (-102)).
Proof.
  set (x := exp (- (24))). assert (bell 12 = x * (x * x)) as -> by (unfold bell, x; rewrite <- !exp_plus; f_equal; field).
  pose proof (tail_small 48 ltac:(lra)) as H. replace (exp (- (48))) with (x * x) in H by (unfold x; rewrite <- exp_plus; f_equal; field).
  set (r := value (Dyadic 1 (-34))). assert (value tiny <= r * r) as H2 by (unfold r; rewrite <- value_mul; apply dleb_spec; vm_compute; reflexivity).
  replace (value (Dyadic 1 (-102))) with (r * (r * r)) by (unfold r; rewrite <- !value_mul; reflexivity).
  assert (0 < x) by apply exp_pos. assert (0 < r) by (unfold r, value; simpl; lra). clearbody x r.
  assert (x <= r) by (apply Rnot_lt_le; intros Hlt; assert (r * r < x * x) by nra; lra).
  apply Rmult_le_compat; nra.
Qed.
Lemma area_12 : 1 <= area 12.
Proof.
  destruct area_described as [_ H].
  assert (let '(_, y, e) := area_finally in dleb d1 (dsub y e) = true) as H1 by (vm_compute; reflexivity).
  destruct area_finally as [[c y] e]. apply dleb_spec in H1. rewrite value_1, value_sub in H1.
  revert H; unfold Rabs; destruct (Rcase_abs _); lra.
Qed.
Lemma root_square : root * root = 2 * PI /\ 0 <= root.
Proof. pose proof PI_RGT_0. split; [apply sqrt_def; lra|apply sqrt_pos]. Qed.
Lemma area_below z : 0 <= z -> 2 * area z <= root.
Proof.
  intros Hz. destruct (gaussian_integral z Hz) as [_ H], root_square as [H2 H0].
  apply Rnot_lt_le; intros Hlt. assert (root * root < 2 * area z * (2 * area z)) by nra. lra.
Qed.
Lemma area_near z : 12 <= z -> root - 2 * area z <= 2 * bell z.
Proof.
  intros Hz. destruct (gaussian_integral z ltac:(lra)) as [_ H], root_square as [H2 _].
  pose proof area_12; pose proof (area_growing 12 z Hz); pose proof (area_below z ltac:(lra)).
  assert ((root - 2 * area z) * (root + 2 * area z) <= 8 * bell z) by lra. nra.
Qed.
Lemma root_large : 2 <= root.
Proof. pose proof area_12; pose proof (area_below 12 ltac:(lra)); lra. Qed.
Lemma reciprocal_spec : Rabs (root * value reciprocal - 1) <= value reciprocal_error.
Proof.
  destruct area_described as [_ H]. pose proof (area_near 12 ltac:(lra)). pose proof (area_below 12 ltac:(lra)). pose proof bell_12.
  assert (reciprocal_error = let '(_, y, e) := area_finally in reciprocal_error_from y e) as E
    by (vm_cast_no_check (eq_refl reciprocal_error)).
  destruct area_finally as [[c y] e]. rewrite E. unfold reciprocal_error_from. cbv zeta.
  eapply Rle_trans; [|apply ceiling_spec].
  assert (value (Dyadic 1 1) = 2) as E2 by (unfold value; simpl; lra).
  rewrite value_add, size_value, value_sub, !value_mul, value_add, value_1, E2.
  assert (0 <= value reciprocal) as Hr by (apply sign_value; discriminate).
  set (r := value reciprocal) in *. set (t := value (Dyadic 1 (-102))) in *. clearbody r t.
  replace (root * r - 1) with ((2 * r * value y - 1) + (root - 2 * value y) * r) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat_l.
  rewrite Rabs_mult, (Rabs_right r) by lra. replace (2 * r * (t + value e)) with (2 * (t + value e) * r) by ring.
  apply Rmult_le_compat_r; [exact Hr|]. revert H; unfold Rabs; repeat destruct (Rcase_abs _); lra.
Qed.

(** ** The normal distribution and GELU *)

Definition normal_density (z : R) := bell z / root.
Definition normal (z : R) := / 2 + area z / root.
Definition gelu (z : R) := z * normal z.
Definition gelu_slope (z : R) := normal z + z * normal_density z.

Definition over_root (p : piece) : piece :=
  Piece (from p) (to p) (base p) (map (dmul reciprocal) (local p)) (dadd (dmul reciprocal (rest p)) reciprocal_error).
Definition right_odd_pieces := map over_root area_pieces.
Definition right_density_pieces := map over_root bell_pieces.
(** On [-12, 12], from the left, each about its left end. *)
Definition normal_pieces := Eval vm_compute in
  map (fun p => shortened 22 (rebased (multiple d1 (Dyadic 1 (-1)) p))) (rev (map mirrored right_odd_pieces) ++ right_odd_pieces).
Definition density_pieces := Eval vm_compute in
  map (fun p => shortened 22 (rebased p)) (rev (map (fun p => negated (mirrored p)) right_density_pieces) ++ right_density_pieces).
Definition inner_gelu_pieces := Eval vm_compute in map times_argument normal_pieces.
Fixpoint sums (c : dyadic) (ps qs : list piece) : list piece :=
  match ps, qs with
  | p :: ps', q :: qs' =>
      Piece (Some c) (Some (dadd c width)) c (plus dyadics (local p) (local q)) (dadd (rest p) (rest q))
        :: sums (dadd c width) ps' qs'
  | _, _ => []
  end.
Definition inner_gelu_slope_pieces := Eval vm_compute in sums (Dyadic (-12) 0) normal_pieces (map times_argument density_pieces).
Definition gelu_pieces := with_tails 12 [] inner_gelu_pieces [d0; d1] tiny.
Definition gelu_slope_pieces := with_tails 12 [] inner_gelu_slope_pieces [d1] (dadd tiny tiny).

Lemma describes_over_root f p : (forall z, Rabs (f z) <= root) -> describes f p ->
  describes (fun z => f z / root) (over_root p).
Proof.
  intros Hf H z Hz. specialize (Hf z). specialize (H z Hz). unfold over_root; cbn [local base rest].
  rewrite dpoly_scale, value_add, value_mul. pose proof root_large. pose proof reciprocal_spec as Hr.
  assert (0 <= value reciprocal) as Hr0 by (apply sign_value; discriminate). set (r := value reciprocal) in *. clearbody r.
  set (P := dpoly (local p) (z - value (base p))) in *.
  replace (f z / root - r * P) with (r * (f z - P) + - (f z / root * (root * r - 1))) by (field; lra).
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, !Rabs_mult, (Rabs_right r) by lra. apply Rplus_le_compat; [nra|].
  rewrite <- (Rmult_1_l (value reciprocal_error)). apply Rmult_le_compat; auto using Rabs_pos.
  unfold Rdiv. rewrite Rabs_mult, Rabs_inv, (Rabs_right root) by lra.
  apply Rmult_le_reg_r with root; [lra|]. rewrite Rmult_assoc, Rinv_l by lra. lra.
Qed.
Lemma over_root_described : Forall (describes (fun z => area z / root)) right_odd_pieces /\
  Forall (describes normal_density) right_density_pieces.
Proof.
  split; [apply (describes_all area)|apply (describes_all bell)]; try apply area_described; try exact bell_described;
    intros p; apply describes_over_root; intros z.
  - destruct (Rle_dec 0 z) as [Hz|Hz].
    + pose proof (area_below z Hz). pose proof (area_growing 0 z Hz) as P; rewrite area_0 in P. apply Rabs_le; lra.
    + pose proof (area_below (- z) ltac:(lra)). pose proof (area_growing 0 (- z) ltac:(lra)) as P; rewrite area_0 in P.
      replace z with (- - z) by ring. rewrite area_opp. apply Rabs_le; lra.
  - pose proof (bell_pos z). pose proof root_large. rewrite Rabs_right by lra.
    pose proof (exp_growing (- (z * z / 2)) 0 ltac:(nra)) as P. rewrite exp_0 in P. fold (bell z) in P. lra.
Qed.
Lemma normal_described : Forall (describes normal) normal_pieces.
Proof.
  replace normal_pieces with (map (fun p => shortened 22 (rebased (multiple d1 (Dyadic 1 (-1)) p)))
    (rev (map mirrored right_odd_pieces) ++ right_odd_pieces)) by (vm_cast_no_check (eq_refl normal_pieces)).
  destruct over_root_described as [H _]. apply (describes_all (fun z => area z / root)).
  - intros p Hp. apply describes_shortened, describes_rebased.
    apply (describes_equal (fun z => value d1 * (area z / root) + value (Dyadic 1 (-1)))); [|apply describes_multiple, Hp].
    intros z; unfold normal. rewrite value_1. unfold value; simpl. lra.
  - apply Forall_app; split; [|exact H]. apply Forall_rev. apply (describes_all (fun z => area z / root)); [|exact H].
    intros p Hp. apply (describes_equal (fun z => - (area (- z) / root))); [|apply (describes_mirrored (fun z => area z / root)), Hp].
    intros z; rewrite area_opp; unfold Rdiv; ring.
Qed.
Lemma density_described : Forall (describes normal_density) density_pieces.
Proof.
  replace density_pieces with (map (fun p => shortened 22 (rebased p))
    (rev (map (fun p => negated (mirrored p)) right_density_pieces) ++ right_density_pieces))
    by (vm_cast_no_check (eq_refl density_pieces)).
  destruct over_root_described as [_ H]. apply (describes_all normal_density).
  - intros p Hp. apply describes_shortened, describes_rebased, Hp.
  - apply Forall_app; split; [|exact H]. apply Forall_rev. apply (describes_all normal_density); [|exact H].
    intros p Hp. apply (describes_equal (fun z => - - normal_density (- z))).
    + intros z; unfold normal_density; rewrite bell_opp; ring.
    + apply (describes_negated (fun z => - normal_density (- z))), describes_mirrored, Hp.
Qed.
Lemma times_argument_described f ps : forallb bounded ps = true -> Forall (describes f) ps ->
  Forall (describes (fun z => z * f z)) (map times_argument ps).
Proof.
  intros HB H; induction H as [|p ps Hp H IH]; cbn [map forallb] in *; [constructor|].
  apply andb_prop in HB as [HB1 HB2]. constructor; [apply describes_times_argument|]; auto.
Qed.
Lemma describes_sums f g ps : Forall (describes f) ps -> forall qs c, Forall (describes g) qs ->
  fitting width c ps = true -> fitting width c qs = true -> Forall (describes (fun z => f z + g z)) (sums c ps qs).
Proof.
  intros H; induction H as [|p ps Hp H IH]; intros [|q qs] c Hqs; cbn [fitting sums]; try constructor.
  all: inversion Hqs as [|? ? Hq Hqs']; subst;
    destruct (fits width c p) eqn:Ep; [|discriminate]; destruct (fits width c q) eqn:Eq; [|discriminate].
  - intros z [Hz1 Hz2]; simpl in Hz1, Hz2; rewrite value_add in Hz2. cbn [local base rest]. rewrite dpoly_plus, value_add.
    destruct (fits_spec width c p Ep (z - value c) ltac:(lra)) as [P1 P2].
    destruct (fits_spec width c q Eq (z - value c) ltac:(lra)) as [Q1 Q2].
    replace (value c + (z - value c)) with z in * by ring. specialize (Hp z P1); specialize (Hq z Q1). rewrite P2 in Hp; rewrite Q2 in Hq.
    match goal with |- Rabs (f z + g z - (?x + ?y)) <= _ => replace (f z + g z - (x + y)) with ((f z - x) + (g z - y)) by ring end.
    eapply Rle_trans; [apply Rabs_triang|]. lra.
  - apply IH; auto.
Qed.

Lemma gelu_tails z : 12 <= z -> Rabs (gelu (- z)) <= value tiny /\ Rabs (gelu z - z) <= value tiny /\
  Rabs (gelu_slope (- z)) <= value (dadd tiny tiny) /\ Rabs (gelu_slope z - 1) <= value (dadd tiny tiny).
Proof.
  intros Hz. pose proof (bell_tail z Hz) as T. pose proof (area_near z Hz). pose proof (area_below z ltac:(lra)).
  pose proof root_large as Hr. pose proof (bell_pos z). rewrite value_add.
  unfold gelu, gelu_slope, normal, normal_density. rewrite area_opp, bell_opp.
  set (x := / 2 - area z / root). set (y := bell z / root).
  assert (0 <= x <= bell z) as Hx.
  { unfold x. replace (/ 2 - area z / root) with ((root - 2 * area z) * / (2 * root)) by (field; lra).
    assert (0 < / (2 * root) <= / 2) as Hi
      by (split; [apply Rinv_0_lt_compat; lra|apply Rinv_le_contravar; lra]). nra. }
  assert (0 <= y <= bell z) as Hy.
  { unfold y, Rdiv. assert (0 < / root <= 1) as Hi
      by (split; [apply Rinv_0_lt_compat; lra|rewrite <- Rinv_1; apply Rinv_le_contravar; lra]). nra. }
  replace (/ 2 + - area z / root) with x by (unfold x, Rdiv; ring).
  replace (/ 2 + area z / root) with (1 - x) by (unfold x; field; lra).
  clearbody x y. assert (0 <= z * x <= value tiny) by nra. assert (0 <= z * y <= value tiny) by nra.
  assert (x <= value tiny) by nra. repeat split; apply Rabs_le; lra.
Qed.
Theorem gelu_described : Forall (describes gelu) gelu_pieces.
Proof.
  apply with_tails_described.
  - replace inner_gelu_pieces with (map times_argument normal_pieces) by (vm_cast_no_check (eq_refl inner_gelu_pieces)).
    apply (times_argument_described normal); [vm_compute; reflexivity|exact normal_described].
  - intros z Hz. destruct (gelu_tails z Hz) as (H1 & H2 & _).
    rewrite !dpoly_cons, value_0, value_1. change (dpoly [] z) with 0. change (dpoly [] (- z)) with 0.
    rewrite Rminus_0_r. replace (0 + z * (1 + z * 0)) with z by ring. auto.
Qed.
Theorem gelu_slope_described : Forall (describes gelu_slope) gelu_slope_pieces.
Proof.
  apply with_tails_described.
  - replace inner_gelu_slope_pieces with (sums (Dyadic (-12) 0) normal_pieces (map times_argument density_pieces))
      by (vm_cast_no_check (eq_refl inner_gelu_slope_pieces)).
    apply (describes_sums normal (fun z => z * normal_density z)); [exact normal_described| |vm_compute; reflexivity|vm_compute; reflexivity].
    apply times_argument_described; [vm_compute; reflexivity|exact density_described].
  - intros z Hz. destruct (gelu_tails z Hz) as (_ & _ & H1 & H2).
    rewrite !dpoly_cons, value_1. change (dpoly [] z) with 0. change (dpoly [] (- z)) with 0.
    rewrite Rminus_0_r. replace (1 + z * 0) with 1 by ring. auto.
Qed.
Lemma gelu_covered : covers gelu_pieces /\ covers gelu_slope_pieces.
Proof. split; apply complete_spec; vm_compute; reflexivity. Qed.
Lemma gelu_derivative z : is_derive gelu z (gelu_slope z).
Proof.
  unfold gelu, gelu_slope. pose proof (is_derive_scal area z (/ root) _ (area_derivative z)) as P.
  pose proof (sum_derivative (fun _ => / 2) _ z _ _ (constant_derivative (/ 2) z) P) as Q.
  pose proof (product_derivative (fun z => z) _ z 1 _ (identity_derivative z) Q) as D. cbv beta in D.
  replace (normal z + z * normal_density z) with (1 * (/ 2 + / root * area z) + z * (0 + / root * bell z))
    by (unfold normal, normal_density, Rdiv; ring).
  eapply is_derive_ext; [|exact D]. intros t; cbv beta. match goal with |- ?a = ?b => change (@eq R a b) end.
  unfold normal, Rdiv; ring.
Qed.
Lemma gelu_tables_near : (rests_within (-69) gelu_pieces && rests_within (-68) gelu_slope_pieces)%bool = true.
Proof. vm_compute; reflexivity. Qed.
