(** * Bounds of polynomials on an interval, decided by Bernstein coefficients and subdivision

    A polynomial q of degree n is nowhere negative on [0, 1] when all coefficients of (1 + x)^n
    q(1 / (1 + x)) are: they are its Bernstein coefficients, each times a binomial.  [positive] halves the
    interval until this is so, or until a value at an end refutes it.  [close] decides in this way
    whether two polynomials of different variables differ by at most eps on an interval. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic.
Import ListNotations.
Open Scope R_scope.

(** Coefficients from degree 0. *)
Definition poly (q : list R) (x : R) := fold_right (fun a r => a + x * r) 0 q.
Notation dpoly q := (poly (values q)).

Lemma poly_plus p q x : poly (plus reals p q) x = poly p x + poly q x.
Proof.
  revert q; induction p as [|a p IH]; intros [|b q]; simpl; try lra.
  fold (poly (plus reals p q) x); rewrite IH; unfold poly; ring.
Qed.
Lemma poly_scale a q x : poly (map (Rmult a) q) x = a * poly q x.
Proof. induction q as [|b q IH]; simpl; [ring|]. fold (poly (map (Rmult a) q) x); rewrite IH; unfold poly; ring. Qed.
Lemma dpoly_plus p q x : dpoly (plus dyadics p q) x = dpoly p x + dpoly q x.
Proof. rewrite values_plus; apply poly_plus. Qed.
Lemma dpoly_scale a q x : dpoly (map (dmul a) q) x = value a * dpoly q x.
Proof. rewrite values_mul; apply poly_scale. Qed.
Lemma dpoly_cons a q x : dpoly (a :: q) x = value a + x * dpoly q x.
Proof. reflexivity. Qed.
Lemma dpoly_shift q x : dpoly (d0 :: q) x = x * dpoly q x.
Proof. rewrite dpoly_cons, value_0; ring. Qed.

Local Arguments plus : simpl never.

(** q(x + 1) *)
Fixpoint shifted (q : list dyadic) : list dyadic :=
  match q with [] => [] | a :: q' => let s := shifted q' in plus dyadics [a] (plus dyadics s (d0 :: s)) end.
Lemma shifted_spec q x : dpoly (shifted q) x = dpoly q (x + 1).
Proof.
  induction q as [|a q IH]; [reflexivity|].
  change (shifted (a :: q)) with (plus dyadics [a] (plus dyadics (shifted q) (d0 :: shifted q))).
  rewrite !dpoly_plus, dpoly_shift, IH, !dpoly_cons. unfold poly at 1; simpl; ring.
Qed.

(** q(x / 2), the coefficients from degree k. *)
Fixpoint halved (k : Z) (q : list dyadic) : list dyadic :=
  match q with [] => [] | a :: q' => Dyadic (mantissa a) (exponent a - k) :: halved (k + 1) q' end.
Lemma halved_spec q k x : (0 <= k)%Z -> dpoly (halved k q) x = bpow radix2 (- k) * dpoly q (x / 2).
Proof.
  revert k; induction q as [|a q IH]; intros k Hk; simpl halved; [simpl; ring|].
  rewrite !dpoly_cons, IH by lia. unfold value; simpl. unfold Z.sub. rewrite bpow_plus.
  replace (- (k + 1))%Z with (- k + -1)%Z by lia. rewrite bpow_plus.
  replace (bpow radix2 (-1)) with (/ 2) by (simpl; auto). field.
Qed.

Definition nonnegative (x : dyadic) := (0 <=? mantissa x)%Z.
Fixpoint positive (fuel : nat) (q : list dyadic) : bool :=
  if nonnegative (hd d0 q) then
    if forallb nonnegative (shifted (rev q)) then true else
    match fuel with
    | O => false
    | S fuel' => let h := halved 0 q in if positive fuel' h then positive fuel' (shifted h) else false
    end
  else false.

Lemma poly_nonnegative q x : 0 <= x -> forallb nonnegative q = true -> 0 <= dpoly q x.
Proof.
  intros Hx; induction q as [|a q IH]; simpl; [lra|]. intros H; apply andb_prop in H as [H1 H2].
  specialize (IH H2). unfold nonnegative in H1; apply Z.leb_le, sign_value in H1.
  fold (dpoly q x). nra.
Qed.
Lemma poly_app p a x : poly (p ++ [a]) x = poly p x + a * x ^ length p.
Proof.
  induction p as [|b p IH]; simpl; [ring|].
  fold (poly (p ++ [a]) x); fold (poly p x); rewrite IH; ring.
Qed.
Lemma poly_rev q v y : v * y = 1 -> v * poly q v = v ^ length q * poly (rev q) y.
Proof.
  intros E; induction q as [|a q IH]; simpl; [ring|]. fold (poly q v).
  rewrite poly_app, rev_length.
  replace (v * (a + v * poly q v)) with (v * a + v * (v * poly q v)) by ring. rewrite IH.
  assert (v ^ length q * y ^ length q = 1) as E' by (rewrite <- Rpow_mult_distr, E, pow1; auto).
  replace (v * v ^ length q * (poly (rev q) y + a * y ^ length q))
    with (v * v ^ length q * poly (rev q) y + v * a * (v ^ length q * y ^ length q)) by ring.
  rewrite E'; ring.
Qed.

Theorem positive_spec fuel q v : positive fuel q = true -> 0 <= v <= 1 -> 0 <= dpoly q v.
Proof.
  revert q v; induction fuel as [|fuel IH]; intros q v; simpl positive;
    (destruct (nonnegative (hd d0 q)) eqn:E0; [|discriminate]);
    (destruct (forallb nonnegative (shifted (rev q))) eqn:E1; [intros _ Hv|]).
  1,3: destruct (Req_dec v 0) as [->|Hv0];
    [ unfold nonnegative in E0; apply Z.leb_le, sign_value in E0; destruct q as [|a q]; simpl in *; lra
    | assert (v * (1 + (/ v - 1)) = 1) as E by (field; auto);
      pose proof (poly_rev (values q) v _ E) as P; rewrite <- map_rev, Rplus_comm, <- shifted_spec in P;
      pose proof (poly_nonnegative (shifted (rev q)) (/ v - 1)) as N;
      assert (0 <= / v - 1) by (assert (1 <= / v) by (rewrite <- Rinv_1; apply Rinv_le_contravar; lra); lra);
      specialize (N ltac:(auto) E1);
      assert (0 <= v ^ length (values q)) by (apply pow_le; lra);
      assert (0 <= v * dpoly q v) by (rewrite P; apply Rmult_le_pos; auto);
      apply Rmult_le_reg_l with v; lra ].
  - discriminate.
  - destruct (positive fuel (halved 0 q)) eqn:E2; [|discriminate]. intros E3 Hv.
    assert (forall x, dpoly (halved 0 q) x = dpoly q (x / 2)) as Hh
      by (intros; rewrite halved_spec by lia; simpl; ring).
    destruct (Rle_dec v (1 / 2)).
    + specialize (IH _ (2 * v) E2 ltac:(lra)). rewrite Hh in IH.
      replace (2 * v / 2) with v in IH by field; auto.
    + specialize (IH _ (2 * v - 1) E3 ltac:(lra)). rewrite shifted_spec, Hh in IH.
      replace ((2 * v - 1 + 1) / 2) with v in IH by field; auto.
Qed.

(** ** Composition with t = a + b v, coefficients rounded to multiples of 2^g *)

Definition poly_floor (g : Z) (q : list dyadic) := map (floor g) q.
(** At most what this changes; 0 where nothing is to be rounded. *)
Definition count (q : list dyadic) (g : Z) :=
  if forallb (fun a => g <=? exponent a)%Z q then d0 else Dyadic (Z.of_nat (length q)) g.
Lemma poly_floor_spec g q v : 0 <= v <= 1 ->
  Rabs (dpoly q v - dpoly (poly_floor g q) v) <= value (count q g).
Proof.
  intros Hv; unfold count. destruct (forallb _ q) eqn:E.
  { replace (poly_floor g q) with q; [rewrite value_0, Rminus_diag_eq, Rabs_R0 by reflexivity; lra|].
    unfold poly_floor; induction q as [|a q IH]; simpl in *; auto. apply andb_prop in E as [E1 E2].
    unfold floor at 1; rewrite E1, <- IH; auto. }
  clear E. unfold value at 3; simpl mantissa; simpl exponent.
  pose proof (bpow_gt_0 radix2 g) as Hg. induction q as [|a q IH].
  - simpl. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
  - simpl poly_floor. rewrite !dpoly_cons. simpl length. rewrite Nat2Z.inj_succ, succ_IZR.
    pose proof (floor_spec g a) as Ha.
    assert (value (unit g) = bpow radix2 g) as Eu by (unfold value; simpl; ring). rewrite Eu in Ha.
    fold (poly_floor g q).
    replace (value a + v * dpoly q v - (value (floor g a) + v * dpoly (poly_floor g q) v))
      with ((value a - value (floor g a)) + v * (dpoly q v - dpoly (poly_floor g q) v)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, (Rabs_right v) by lra.
    rewrite (Rabs_right (value a - value (floor g a))) by lra.
    pose proof (Rabs_pos (dpoly q v - dpoly (poly_floor g q) v)) as Hp.
    assert (v * Rabs (dpoly q v - dpoly (poly_floor g q) v) <= 1 * Rabs (dpoly q v - dpoly (poly_floor g q) v))
      by (apply Rmult_le_compat_r; lra). lra.
Qed.

Definition steps (a b : dyadic) := maximum dyadics (size dyadics a) (size dyadics (dadd a b)).
Fixpoint composed (g : Z) (a b : dyadic) (q : list dyadic) : list dyadic * dyadic :=
  match q with
  | [] => ([], d0)
  | c :: q' =>
      let (r, e) := composed g a b q' in
      let r' := plus dyadics [c] (plus dyadics (map (dmul a) r) (d0 :: map (dmul b) r)) in
      (poly_floor g r', dadd (ceiling g (dmul e (steps a b))) (count r' g))
  end.
Lemma steps_spec a b v : 0 <= v <= 1 -> Rabs (value a + value b * v) <= value (steps a b).
Proof.
  intros Hv; unfold steps. rewrite value_maximum, !value_size, value_add, !size_abs.
  destruct (maximum_spec (Rabs (value a)) (Rabs (value a + value b))) as (H1 & H2 & _).
  revert H1 H2. set (m := maximum reals _ _); clearbody m. intros H1 H2.
  apply Rabs_le. pose proof (Rle_abs (value a)); pose proof (Rle_abs (value a + value b)).
  pose proof (Rle_abs (- value a)) as H3; pose proof (Rle_abs (- (value a + value b))) as H4.
  rewrite Rabs_Ropp in H3, H4. split; nra.
Qed.
Lemma composed_spec g a b q v : 0 <= v <= 1 ->
  Rabs (dpoly q (value a + value b * v) - dpoly (fst (composed g a b q)) v) <= value (snd (composed g a b q)).
Proof.
  intros Hv; induction q as [|c q IH]; simpl composed.
  - simpl. rewrite value_0, Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
  - destruct (composed g a b q) as [r e]; simpl fst in *; simpl snd in *.
    set (t := value a + value b * v) in *.
    set (r' := plus dyadics [c] (plus dyadics (map (dmul a) r) (d0 :: map (dmul b) r))).
    assert (dpoly r' v = value c + t * dpoly r v) as E.
    { unfold r'; rewrite !dpoly_plus, dpoly_shift, !dpoly_scale, dpoly_cons. unfold t; simpl; ring. }
    pose proof (poly_floor_spec g r' v Hv) as Hf. rewrite E in Hf. rewrite dpoly_cons, value_add.
    pose proof (ceiling_spec g (dmul e (steps a b))) as Hc; rewrite value_mul in Hc.
    pose proof (steps_spec a b v Hv) as Hs; fold t in Hs.
    replace (value c + t * dpoly q t - dpoly (poly_floor g r') v)
      with (t * (dpoly q t - dpoly r v) + (value c + t * dpoly r v - dpoly (poly_floor g r') v)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; [|exact Hf].
    eapply Rle_trans; [|exact Hc]. rewrite Rabs_mult, Rmult_comm.
    apply Rmult_le_compat; auto; apply Rabs_pos.
Qed.

(** ** The same with fewer digits of a and b, and without what is small *)

(** At least |q(t)|, and how fast q changes at most, for |t| <= far. *)
Fixpoint lipschitz (far : dyadic) (q : list dyadic) : dyadic * dyadic :=
  match q with
  | [] => (d0, d0)
  | c :: q' =>
      let (n, l) := lipschitz far q' in
      (ceiling (-20) (dadd (ceiling (-20) (size dyadics c)) (dmul far n)), ceiling (-20) (dadd n (dmul far l)))
  end.
Lemma lipschitz_spec far q t t' : Rabs t <= value far -> Rabs t' <= value far ->
  Rabs (dpoly q t) <= value (fst (lipschitz far q)) /\
  Rabs (dpoly q t - dpoly q t') <= value (snd (lipschitz far q)) * Rabs (t - t').
Proof.
  intros Ht Ht'; induction q as [|c q IH]; cbn [lipschitz fst snd].
  - change (dpoly [] t) with 0; change (dpoly [] t') with 0. rewrite Rminus_0_r, Rabs_R0, value_0; lra.
  - destruct (lipschitz far q) as [n l]; cbn [fst snd] in *. destruct IH as [IH1 IH2]. rewrite !dpoly_cons. split.
    + eapply Rle_trans; [|apply ceiling_spec]. rewrite value_add, value_mul.
      eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
      * eapply Rle_trans; [|apply ceiling_spec]. rewrite value_size, size_abs; apply Rle_refl.
      * rewrite Rabs_mult. apply Rmult_le_compat; auto; apply Rabs_pos.
    + apply Rle_trans with (value (dadd n (dmul far l)) * Rabs (t - t'));
        [|apply Rmult_le_compat_r; [apply Rabs_pos|apply ceiling_spec]].
      rewrite value_add, value_mul.
      replace (value c + t * dpoly q t - (value c + t' * dpoly q t'))
        with (dpoly q t * (t - t') + t' * (dpoly q t - dpoly q t')) by ring.
      rewrite Rmult_plus_distr_r, Rmult_assoc.
      eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
      apply Rplus_le_compat; apply Rmult_le_compat; auto using Rabs_pos; lra.
Qed.

Lemma lipschitz_positive far q : 0 < value far -> 0 <= value (snd (lipschitz far q)).
Proof.
  intros H. destruct (lipschitz_spec far q 0 (value far)) as [_ G]; [rewrite Rabs_R0; lra|rewrite Rabs_right; lra|].
  pose proof (Rabs_pos (dpoly q 0 - dpoly q (value far))) as P. rewrite Rminus_0_l, Rabs_Ropp, (Rabs_right (value far)) in G by lra.
  apply Rmult_le_reg_r with (value far); lra.
Qed.

Definition composed_coarsely (g : Z) (a b : dyadic) (q : list dyadic) : list dyadic * dyadic :=
  let h := (g - 6)%Z in
  if andb (h <=? exponent a)%Z (h <=? exponent b)%Z then composed g a b q else
  let (a', b') := (floor h a, floor h b) in
  let off := unit (h + 1) in
  let (r, e) := composed g a' b' q in
  (r, dadd e (ceiling g (dmul (snd (lipschitz (ceiling (-6) (dadd (steps a' b') off)) q)) off))).
Lemma composed_coarsely_spec g a b q v : 0 <= v <= 1 ->
  Rabs (dpoly q (value a + value b * v) - dpoly (fst (composed_coarsely g a b q)) v) <= value (snd (composed_coarsely g a b q)).
Proof.
  intros Hv; unfold composed_coarsely. cbv zeta. set (h := (g - 6)%Z).
  destruct (andb (h <=? exponent a)%Z (h <=? exponent b)%Z); [apply composed_spec; exact Hv|].
  set (a' := floor h a). set (b' := floor h b). set (off := unit (h + 1)).
  set (far := ceiling (-6) (dadd (steps a' b') off)).
  pose proof (composed_spec g a' b' q v Hv) as P. destruct (composed g a' b' q) as [r e]; cbn [fst snd] in *.
  pose proof (floor_spec h a) as Ha; pose proof (floor_spec h b) as Hb; fold a' in Ha; fold b' in Hb.
  assert (value off = 2 * value (unit h)) as Eo 
    by (unfold off, unit, value; cbn [mantissa exponent]; rewrite bpow_plus; replace (bpow radix2 1) with 2 by (simpl; auto); ring).
  assert (0 < value (unit h)) as Hu by (unfold unit, value; cbn [mantissa exponent]; pose proof (bpow_gt_0 radix2 h); lra).
  pose proof (steps_spec a' b' v Hv) as Hs. set (t' := value a' + value b' * v) in *. set (t := value a + value b * v).
  assert (Rabs (t - t') <= value off) as Ht.
  { replace (t - t') with ((value a - value a') + (value b - value b') * v) by (unfold t, t'; ring). apply Rabs_le; nra. }
  pose proof (ceiling_spec (-6) (dadd (steps a' b') off)) as Hf; fold far in Hf; rewrite value_add in Hf.
  destruct (lipschitz_spec far q t t') as [_ G].
  - replace t with (t' + (t - t')) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra.
  - pose proof (Rabs_pos (t - t')); lra.
  - replace (dpoly q t - dpoly r v) with ((dpoly q t' - dpoly r v) + (dpoly q t - dpoly q t')) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite value_add. apply Rplus_le_compat; [exact P|].
    eapply Rle_trans; [exact G|]. eapply Rle_trans; [|apply ceiling_spec]. rewrite value_mul.
    apply Rmult_le_compat_l; [apply lipschitz_positive|exact Ht]. pose proof (Rabs_pos t'); lra.
Qed.

(** The polynomial without its last coefficients, if they are small; and at most what this changes. *)
Fixpoint cut (small : dyadic) (q : list dyadic) : list dyadic * dyadic :=
  match q with
  | [] => ([], d0)
  | c :: q' =>
      let (r, e) := cut small q' in
      match r with
      | [] => if dleb (size dyadics c) small then ([], dadd (size dyadics c) e) else ([c], e)
      | _ => (c :: r, e)
      end
  end.
Lemma cut_spec small q v : 0 <= v <= 1 -> Rabs (dpoly q v - dpoly (fst (cut small q)) v) <= value (snd (cut small q)).
Proof.
  intros Hv; induction q as [|c q IH]; cbn [cut].
  - cbn [fst snd]. rewrite value_0, Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
  - destruct (cut small q) as [r e]; cbn [fst snd] in *.
    assert (Rabs (v * dpoly q v - v * dpoly r v) <= value e) as H.
    { rewrite <- Rmult_minus_distr_l, Rabs_mult, (Rabs_right v) by lra. pose proof (Rabs_pos (dpoly q v - dpoly r v)); nra. }
    assert (Rabs (dpoly (c :: q) v - dpoly (c :: r) v) <= value e) as H1.
    { rewrite !dpoly_cons. match goal with |- Rabs ?x <= _ => replace x with (v * dpoly q v - v * dpoly r v) by ring end. exact H. }
    destruct r as [|c' r]; [|exact H1]. destruct (dleb (size dyadics c) small); [|exact H1].
    cbn [fst snd]. rewrite dpoly_cons, value_add, value_size, size_abs. change (dpoly [] v) with 0 in *.
    rewrite Rminus_0_r. rewrite Rmult_0_r, Rminus_0_r in H. eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(** Whether |p(a + b v) - q(c + d v)| <= eps for all v in [0, 1], to multiples of 2^g. *)
Definition close_at (g : Z) (fuel : nat) (p : list dyadic) (a b : dyadic) (q : list dyadic) (c d : dyadic) (eps : dyadic) : bool :=
  let (p', e) := composed_coarsely g a b p in
  let (q', f) := composed_coarsely g c d q in
  let (r, h) := cut (unit (g + 1)) (plus dyadics p' (map dopp q')) in
  let rest := dsub eps (dadd (dadd e f) h) in
  if positive fuel (plus dyadics [rest] r) then positive fuel (plus dyadics [rest] (map dopp r)) else false.
Definition magnitude (x : dyadic) := (exponent x + Z.log2 (mantissa x))%Z.
(** Lines and parabolas exactly, for what is equal or nearly; others to 24 bits below eps, or to 45. *)
Definition close (fuel : nat) (p : list dyadic) (a b : dyadic) (q : list dyadic) (c d : dyadic) (eps : dyadic) : bool :=
  if orb (length p + length q <=? 6)%nat (mantissa eps <=? 0)%Z then close_at (-4000) fuel p a b q c d eps
  else if close_at (magnitude eps - 24) fuel p a b q c d eps then true
  else close_at (magnitude eps - 45) fuel p a b q c d eps.

Lemma dpoly_opp q x : dpoly (map dopp q) x = - dpoly q x.
Proof. induction q as [|a q IH]; [simpl; ring|].
  change (map dopp (a :: q)) with (dopp a :: map dopp q). rewrite !dpoly_cons, IH, value_opp; ring. Qed.

Lemma close_at_spec g fuel p a b q c d eps v : close_at g fuel p a b q c d eps = true -> 0 <= v <= 1 ->
  Rabs (dpoly p (value a + value b * v) - dpoly q (value c + value d * v)) <= value eps.
Proof.
  unfold close_at. cbv zeta.
  pose proof (composed_coarsely_spec g a b p v) as Hp. pose proof (composed_coarsely_spec g c d q v) as Hq.
  destruct (composed_coarsely g a b p) as [p' e]; destruct (composed_coarsely g c d q) as [q' f]; cbn [fst snd] in *.
  pose proof (cut_spec (unit (g + 1)) (plus dyadics p' (map dopp q')) v) as Hr.
  destruct (cut (unit (g + 1)) (plus dyadics p' (map dopp q'))) as [r h]; cbn [fst snd] in *.
  destruct (positive fuel (plus dyadics [dsub eps (dadd (dadd e f) h)] r)) eqn:E1; [|discriminate].
  intros E2 Hv. specialize (Hp Hv); specialize (Hq Hv); specialize (Hr Hv).
  pose proof (positive_spec _ _ v E1 Hv) as P1; pose proof (positive_spec _ _ v E2 Hv) as P2.
  rewrite dpoly_plus, dpoly_cons, value_sub, !value_add in P1.
  rewrite dpoly_plus, dpoly_opp, dpoly_cons, value_sub, !value_add in P2.
  rewrite dpoly_plus, dpoly_opp in Hr. change (dpoly [] v) with 0 in *.
  apply Rabs_le. revert Hp Hq Hr; unfold Rabs; repeat destruct (Rcase_abs _); lra.
Qed.
Theorem close_spec fuel p a b q c d eps v : close fuel p a b q c d eps = true -> 0 <= v <= 1 ->
  Rabs (dpoly p (value a + value b * v) - dpoly q (value c + value d * v)) <= value eps.
Proof.
  unfold close. destruct (orb _ _); [apply close_at_spec|].
  destruct (close_at (magnitude eps - 24) fuel p a b q c d eps) eqn:E; [|apply close_at_spec].
  intros _ Hv. exact (close_at_spec _ _ _ _ _ _ _ _ _ v E Hv).
Qed.

(** ** Functions given by pieces *)

(** On [from, to], where either may be missing, a polynomial in z - base, and how far from it the
    function is at most. *)
Record piece := Piece
  { from : option dyadic; to : option dyadic; base : dyadic; local : list dyadic; rest : dyadic }.
Definition after (a : option dyadic) (z : R) := match a with Some x => value x <= z | None => True end.
Definition before (z : R) (b : option dyadic) := match b with Some x => z <= value x | None => True end.
Definition in_piece (p : piece) (z : R) := after (from p) z /\ before z (to p).
Definition describes (f : R -> R) (p : piece) := forall z, in_piece p z ->
  Rabs (f z - dpoly (local p) (z - value (base p))) <= value (rest p).
Definition covers (ps : list piece) := forall z, exists p, In p ps /\ in_piece p z.
