(** * sin and cos by pieces

    For polynomials S and C on [c, c + w], and x = c + u,

        (S cos x - C sin x)' = (S' - C) cos x - (C' + S) sin x
        (S sin x + C cos x)' = (S' - C) sin x + (C' + S) cos x

    and S = sin, C = cos where the first is 0 and the second 1.  How far the two are from 0 and 1 bounds how far S
    and C are from sin and cos, and grows by at most w (|S' - C| + |C' + S|) each: the table has Taylor
    polynomials for intervals of length 1/2 up to 32.  No value of sin or pi is used. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh Smooth.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** How far (s, k) is from (sin c, cos c), turned back by c. *)
Definition turned (c s k : R) : R := Rabs (s * cos c - k * sin c) + Rabs (s * sin c + k * cos c - 1).

Lemma triangle a b c d x y : Rabs a <= x -> Rabs b <= y -> Rabs c <= 1 -> Rabs d <= 1 -> Rabs (a * c + b * d) <= x + y.
Proof.
  intros Ha Hb Hc Hd. eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
  pose proof (Rabs_pos a); pose proof (Rabs_pos b); pose proof (Rabs_pos c); pose proof (Rabs_pos d). nra.
Qed.
Lemma sin_within c : Rabs (sin c) <= 1.
Proof. pose proof (SIN_bound c). apply Rabs_le; lra. Qed.
Lemma cos_within c : Rabs (cos c) <= 1.
Proof. pose proof (COS_bound c). apply Rabs_le; lra. Qed.
Lemma circle_1 c : sin c * sin c = 1 - cos c * cos c.
Proof. pose proof (sin2_cos2 c) as H; unfold Rsqr in H; lra. Qed.
Lemma turned_bounds c s k : Rabs (s - sin c) <= turned c s k /\ Rabs (k - cos c) <= turned c s k.
Proof.
  unfold turned. set (a := s * cos c - k * sin c). set (b := s * sin c + k * cos c - 1). pose proof (circle_1 c).
  split.
  - replace (s - sin c) with (a * cos c + b * sin c) by (unfold a, b; ring [H]).
    apply triangle; auto using sin_within, cos_within; lra.
  - replace (k - cos c) with (a * - sin c + b * cos c) by (unfold a, b; ring [H]).
    apply triangle; rewrite ?Rabs_Ropp; auto using sin_within, cos_within; lra.
Qed.
Lemma turned_jump c s k s' k' : turned c s' k' <= turned c s k + 2 * (Rabs (s - s') + Rabs (k - k')).
Proof.
  unfold turned.
  replace (s' * cos c - k' * sin c)
    with ((s * cos c - k * sin c) + (- ((s - s') * cos c + (k - k') * - sin c))) by ring.
  replace (s' * sin c + k' * cos c - 1)
    with ((s * sin c + k * cos c - 1) + (- ((s - s') * sin c + (k - k') * cos c))) by ring.
  pose proof (triangle (s - s') (k - k') (cos c) (- sin c) _ _ (Rle_refl _) (Rle_refl _) (cos_within c)
    ltac:(rewrite Rabs_Ropp; apply sin_within)) as P1.
  pose proof (triangle (s - s') (k - k') (sin c) (cos c) _ _ (Rle_refl _) (Rle_refl _) (sin_within c) (cos_within c)) as P2.
  rewrite <- Rabs_Ropp in P1, P2.
  eapply Rle_trans; [apply Rplus_le_compat; apply Rabs_triang|]. lra.
Qed.
Lemma turned_grows c w r1 r2 (S C : list dyadic) :
  (forall u, 0 <= u <= w -> Rabs (dpoly (derivative S) u - dpoly C u) <= r1) ->
  (forall u, 0 <= u <= w -> Rabs (dpoly (derivative C) u + dpoly S u) <= r2) ->
  forall u, 0 <= u <= w ->
  turned (c + u) (dpoly S u) (dpoly C u) <= turned c (dpoly S 0) (dpoly C 0) + 2 * (w * (r1 + r2)).
Proof.
  intros H1 H2 u Hu. set (r := r1 + r2).
  assert (0 <= r1) by (eapply Rle_trans; [apply Rabs_pos|apply (H1 u Hu)]).
  assert (0 <= r2) by (eapply Rle_trans; [apply Rabs_pos|apply (H2 u Hu)]).
  pose proof (fun v => derivative_spec S v) as DS. pose proof (fun v => derivative_spec C v) as DC.
  assert (forall v, is_derive (fun v => sin (c + v)) v (cos (c + v))) as Dsin
    by (intros v; apply (shifted_function sin cos), is_derive_Reals, derivable_pt_lim_sin).
  assert (forall v, is_derive (fun v => cos (c + v)) v (- sin (c + v))) as Dcos
    by (intros v; apply (shifted_function cos (fun x => - sin x)), is_derive_Reals, derivable_pt_lim_cos).
  pose proof (damped (fun v => dpoly S v * cos (c + v) - dpoly C v * sin (c + v))
    (fun v => (dpoly (derivative S) v - dpoly C v) * cos (c + v) + (dpoly (derivative C) v + dpoly S v) * - sin (c + v))
    (fun _ => 0) (fun _ => 0) w r) as PA.
  pose proof (damped (fun v => dpoly S v * sin (c + v) + dpoly C v * cos (c + v) - 1)
    (fun v => (dpoly (derivative S) v - dpoly C v) * sin (c + v) + (dpoly (derivative C) v + dpoly S v) * cos (c + v))
    (fun _ => 0) (fun _ => 0) w r) as PB.
  assert (Rabs (dpoly S u * cos (c + u) - dpoly C u * sin (c + u)) <=
    Rabs (dpoly S 0 * cos c - dpoly C 0 * sin c) + r * u) as A.
  { cbv beta in PA. rewrite Rplus_0_r in PA. apply PA; auto; try lra.
    - intros v _. pose proof (minus_derivative _ _ v _ _ (product_derivative _ _ v _ _ (DS v) (Dcos v))
        (product_derivative _ _ v _ _ (DC v) (Dsin v))) as P.
      match type of P with is_derive _ _ ?e => match goal with |- is_derive _ _ ?d => replace d with e by ring end end. exact P.
    - intros v _; apply constant_derivative.
    - intros; lra.
    - intros v Hv. rewrite Rmult_0_l, Rplus_0_r.
      apply triangle; rewrite ?Rabs_Ropp; auto using sin_within, cos_within. }
  assert (Rabs (dpoly S u * sin (c + u) + dpoly C u * cos (c + u) - 1) <=
    Rabs (dpoly S 0 * sin c + dpoly C 0 * cos c - 1) + r * u) as B.
  { cbv beta in PB. rewrite Rplus_0_r in PB. apply PB; auto; try lra.
    - intros v _. pose proof (minus_derivative _ _ v _ _ (sum_derivative _ _ v _ _ (product_derivative _ _ v _ _ (DS v) (Dsin v))
        (product_derivative _ _ v _ _ (DC v) (Dcos v))) (constant_derivative 1 v)) as P.
      match type of P with is_derive _ _ ?e => match goal with |- is_derive _ _ ?d => replace d with e by ring end end. exact P.
    - intros v _; apply constant_derivative.
    - intros; lra.
    - intros v Hv. rewrite Rmult_0_l, Rplus_0_r. apply triangle; auto using sin_within, cos_within. }
  unfold turned. assert (0 <= r) by (unfold r; lra). assert (r * u <= w * r) by nra. lra.
Qed.

(** ** The table *)

Definition width := Dyadic 1 (-1).
(** Of sin and of cos, where they are about a and b. *)
Fixpoint circle_taylor (n : nat) (k a b : Z) : list dyadic * list dyadic :=
  match n with
  | O => ([], [])
  | S n' => let (p, q) := circle_taylor n' (k + 1) (b / (k + 1)) (- a / (k + 1)) in (Dyadic a (-110) :: p, Dyadic b (-110) :: q)
  end.
Fixpoint circle_cells (n : nat) (a b : dyadic) : list (list dyadic * list dyadic) :=
  match n with
  | O => []
  | S n' =>
      let (p, q) := circle_taylor 20 0 (scaled a (-110)) (scaled b (-110)) in
      (p, q) :: circle_cells n' (floor (-110) (horner p width)) (floor (-110) (horner q width))
  end.
Definition double (x : dyadic) := Dyadic (mantissa x) (exponent x + 1).
Fixpoint circle (c s k e : dyadic) (cells : list (list dyadic * list dyadic)) : list (piece * piece) :=
  match cells with
  | [] => []
  | (p, q) :: cs =>
      let jump := dadd (size dyadics (dsub s (hd d0 p))) (size dyadics (dsub k (hd d0 q))) in
      let r := dadd (norm_at width (difference (derivative p) q)) (norm_at width (plus dyadics (derivative q) p)) in
      let e' := ceiling (-130) (dadd e (double (dadd jump (dmul width r)))) in
      let d := dadd c width in
      (Piece (Some c) (Some d) c p e', Piece (Some c) (Some d) c q e') :: circle d (horner p width) (horner q width) e' cs
  end.
Definition right_circle := Eval vm_compute in circle d0 d0 d1 d0 (circle_cells 64 d0 d1).

Lemma circle_spec cells : forall c s k e, turned (value c) (value s) (value k) <= value e ->
  Forall (fun t => describes sin (fst t) /\ describes cos (snd t)) (circle c s k e cells).
Proof.
  induction cells as [|[p q] cells IH]; intros c s k e He; cbn [circle]; [constructor|].
  set (jump := dadd (size dyadics (dsub s (hd d0 p))) (size dyadics (dsub k (hd d0 q)))).
  set (r := dadd (norm_at width (difference (derivative p) q)) (norm_at width (plus dyadics (derivative q) p))).
  set (e' := ceiling (-130) (dadd e (double (dadd jump (dmul width r))))).
  assert (forall l, value (hd d0 l) = dpoly l 0) as E0 by (intros [|a l]; simpl; rewrite ?value_0; ring).
  assert (forall u, 0 <= u <= value width -> turned (value c + u) (dpoly p u) (dpoly q u) <= value e') as H.
  { intros u Hu. pose proof (turned_grows (value c) (value width) _ _ p q
      (fun v Hv => eq_ind _ (fun x => Rabs x <= _) (norm_at_spec width (difference (derivative p) q) v Hv) _ (difference_spec _ _ _))
      (fun v Hv => eq_ind _ (fun x => Rabs x <= _) (norm_at_spec width (plus dyadics (derivative q) p) v Hv) _ (dpoly_plus _ _ _))
      u Hu) as P.
    pose proof (turned_jump (value c) (value s) (value k) (dpoly p 0) (dpoly q 0)) as J.
    unfold e'. eapply Rle_trans; [|apply ceiling_spec].
    unfold jump, r, double. rewrite value_add, double_value, !value_add, value_mul, value_add, !size_value, !value_sub, !E0. lra. }
  constructor; [|apply IH; rewrite value_add, !horner_spec; apply H; unfold value; simpl; lra].
  split; intros z [H1 H2]; simpl in H1, H2; rewrite value_add in H2; cbn [fst snd local base rest];
    specialize (H (z - value c) ltac:(lra)); replace (value c + (z - value c)) with z in H by ring;
    destruct (turned_bounds z (dpoly p (z - value c)) (dpoly q (z - value c))); rewrite Rabs_minus_sym; lra.
Qed.
Lemma right_circle_described :
  Forall (describes sin) (map fst right_circle) /\ Forall (describes cos) (map snd right_circle).
Proof.
  assert (Forall (fun t => describes sin (fst t) /\ describes cos (snd t)) right_circle) as H.
  { replace right_circle with (circle d0 d0 d1 d0 (circle_cells 64 d0 d1)) by (vm_cast_no_check (eq_refl right_circle)).
    apply circle_spec. unfold turned. rewrite !value_0, value_1, sin_0, cos_0.
    replace (0 * 1 - 1 * 0) with 0 by ring. replace (0 * 0 + 1 * 1 - 1) with 0 by ring. rewrite Rabs_R0; lra. }
  induction H as [|t ts [Hs Hc] H [IHs IHc]]; cbn [map]; split; constructor; auto.
Qed.

(** Beyond 32 only that they are at most 1. *)
Definition between_bounds (ps : list piece) :=
  Piece None (Some (Dyadic (-32) 0)) d0 [] d1 :: ps ++ [Piece (Some (Dyadic 32 0)) None d0 [] d1].
Definition sin_pieces := Eval vm_compute in
  between_bounds (rev (map mirrored (map fst right_circle)) ++ map fst right_circle).
Definition cos_pieces := Eval vm_compute in
  between_bounds (rev (map (fun p => negated (mirrored p)) (map snd right_circle)) ++ map snd right_circle).

Lemma between_bounds_described (f : R -> R) ps : (forall z, Rabs (f z) <= 1) -> Forall (describes f) ps ->
  Forall (describes f) (between_bounds ps).
Proof.
  intros Hf H. assert (forall a b, describes f (Piece a b d0 [] d1)) as HT.
  { intros a b z _; cbn [local rest]. change (dpoly [] _) with 0. rewrite Rminus_0_r, value_1; auto. }
  constructor; [apply HT|]. apply Forall_app; split; [exact H|]. constructor; [apply HT|constructor].
Qed.
Theorem sin_described : Forall (describes sin) sin_pieces.
Proof.
  change sin_pieces with (between_bounds (rev (map mirrored (map fst right_circle)) ++ map fst right_circle)).
  destruct right_circle_described as [H _]. apply between_bounds_described; [exact sin_within|].
  apply Forall_app; split; [|exact H]. apply Forall_rev. apply (describes_all sin); [|exact H]. intros p Hp.
  apply (describes_equal (fun z => - sin (- z))); [intros z; rewrite sin_neg; ring|]. apply describes_mirrored, Hp.
Qed.
Theorem cos_described : Forall (describes cos) cos_pieces.
Proof.
  change cos_pieces
    with (between_bounds (rev (map (fun p => negated (mirrored p)) (map snd right_circle)) ++ map snd right_circle)).
  destruct right_circle_described as [_ H]. apply between_bounds_described; [exact cos_within|].
  apply Forall_app; split; [|exact H]. apply Forall_rev. apply (describes_all cos); [|exact H]. intros p Hp.
  apply (describes_equal (fun z => - - cos (- z))); [intros z; rewrite cos_neg; ring|].
  apply (describes_negated (fun z => - cos (- z))), describes_mirrored, Hp.
Qed.
Lemma sin_covered : covers sin_pieces.
Proof. apply complete_spec; vm_compute; reflexivity. Qed.
Lemma cos_covered : covers cos_pieces.
Proof. apply complete_spec; vm_compute; reflexivity. Qed.
