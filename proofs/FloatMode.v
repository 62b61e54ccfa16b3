(** * The fast mode: errors decided with primitive floating-point numbers

    [fast_check] and [fast_check_divided] are [check] of Checker.v and [check_divided] of Division.v but for the
    errors of the polynomials, where nearly all time goes: there the composition with t = a + b v and the
    Bernstein coefficients are intervals of primitive floats, rounded outward by the interval library.  An
    interval of coefficients stands for every polynomial with coefficients in it, and all of these are decided
    at once ([positive_intervals_spec], [close_intervals_spec]).  If one of the two says true the bounds hold
    ([fast_check_sound], [fast_divided_sound]).  What this mode assumes beyond the real numbers is that the
    processor's arithmetic is that of IEEE 754, and excluded middle, on which the library rests. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Flocq Require Import Core.
From Interval Require Import Xreal Interval Float_full Primitive_ops.
From SLNN Require Import Propagation Dyadic Bernstein Activations Checker Division.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

Module F := PrimitiveFloat.
Module I := FloatIntervalFull F.
Definition precision := F.PtoP 53.

Definition holds_number (i : I.type) (x : R) := contains (I.convert i) (Xreal x).
Notation hold := (Forall2 holds_number).
Definition iadd := I.add precision.
Definition imul := I.mul precision.
Definition izero := I.zero.
Definition power_of_2 (e : Z) : I.type := I.power_int precision (I.fromZ precision 2) e.
Definition from_dyadic (x : dyadic) : I.type := imul (I.fromZ precision (mantissa x)) (power_of_2 (exponent x)).
(** All as integers times the same power of 2, to compute one only. *)
Definition from_dyadics (q : list dyadic) : list I.type :=
  let e := fold_right (fun x e => Z.min (exponent x) e) 0%Z q in
  let u := power_of_2 e in map (fun x => imul (I.fromZ precision (scaled x e)) u) q.
Definition intervals : numbers I.type := Numbers I.type izero iadd imul I.neg (fun _ _ => false).

Lemma holds_add i j x y : holds_number i x -> holds_number j y -> holds_number (iadd i j) (x + y).
Proof. intros H1 H2; exact (I.add_correct precision i j (Xreal x) (Xreal y) H1 H2). Qed.
Lemma holds_mul i j x y : holds_number i x -> holds_number j y -> holds_number (imul i j) (x * y).
Proof. intros H1 H2; exact (I.mul_correct precision i j (Xreal x) (Xreal y) H1 H2). Qed.
Lemma holds_neg i x : holds_number i x -> holds_number (I.neg i) (- x).
Proof. intros H; exact (I.neg_correct i (Xreal x) H). Qed.
Lemma holds_zero : holds_number izero 0.
Proof. unfold holds_number, izero. rewrite I.zero_correct. simpl; lra. Qed.
Lemma holds_power e : holds_number (power_of_2 e) (bpow radix2 e).
Proof.
  pose proof (I.power_int_correct precision e (I.fromZ precision 2) (Xreal 2) (I.fromZ_correct precision 2)) as P.
  unfold holds_number. replace (Xreal (bpow radix2 e)) with (Xpower_int (Xreal 2) e); [exact P|].
  unfold Xpower_int, Xbind, Xpower_int'. rewrite bpow_powerRZ. unfold powerRZ.
  destruct e; try reflexivity. rewrite is_zero_false by lra. reflexivity.
Qed.
Lemma holds_dyadic x : holds_number (from_dyadic x) (value x).
Proof. apply holds_mul; [apply I.fromZ_correct|apply holds_power]. Qed.

(** ** Polynomials with coefficients in intervals *)

Local Arguments plus : simpl never.
Lemma hold_plus p q x y : hold p x -> hold q y -> hold (plus intervals p q) (plus reals x y).
Proof.
  intros H; revert q y; induction H as [|a b p x Ha H IH]; intros q y Hq; [exact Hq|].
  destruct Hq as [|c d q y Hc Hq]; [constructor; auto|]. constructor; [apply holds_add; auto|apply IH; auto].
Qed.
Lemma hold_scale i a q x : holds_number i a -> hold q x -> hold (map (imul i) q) (map (Rmult a) x).
Proof. intros Hi H; induction H; cbn [map]; constructor; auto using holds_mul. Qed.
Lemma hold_neg q x : hold q x -> hold (map I.neg q) (map Ropp x).
Proof. intros H; induction H; cbn [map]; constructor; auto using holds_neg. Qed.
Lemma hold_rev q x : hold q x -> hold (rev q) (rev x).
Proof. intros H; induction H; cbn [rev]; [constructor|]. apply Forall2_app; auto. Qed.
Lemma hold_dyadics q : hold (from_dyadics q) (values q).
Proof.
  unfold from_dyadics. set (e := fold_right _ _ q).
  assert (forall x, In x q -> (e <= exponent x)%Z) as He.
  { unfold e; clear e; induction q as [|a q IH]; intros x Hx; [contradiction|]. cbn [fold_right]. destruct Hx as [->|Hx]; [lia|specialize (IH x Hx); lia]. }
  clearbody e. induction q as [|a q IH]; cbn [map]; constructor; [|apply IH; intros x Hx; apply He; right; auto].
  rewrite <- (scaled_value a e) by (apply He; left; auto). apply holds_mul; [apply I.fromZ_correct|apply holds_power].
Qed.

(** The same steps for both: q(x + 1), q(h x), and q(a + b x). *)
Section Steps.
Context {K : Type} (N : numbers K).
Fixpoint moved (q : list K) : list K :=
  match q with [] => [] | a :: q' => let s := moved q' in plus N [a] (plus N s (zero N :: s)) end.
Fixpoint stretched (h c : K) (q : list K) : list K :=
  match q with [] => [] | a :: q' => mul N c a :: stretched h (mul N c h) q' end.
Fixpoint substituted (a b : K) (q : list K) : list K :=
  match q with
  | [] => []
  | c :: q' => let r := substituted a b q' in plus N [c] (plus N (map (mul N a) r) (zero N :: map (mul N b) r))
  end.
End Steps.
Lemma hold_moved q x : hold q x -> hold (moved intervals q) (moved reals x).
Proof.
  intros H; induction H; cbn [moved]; [constructor|].
  apply hold_plus; [constructor; auto|]. apply hold_plus; [auto|]. constructor; [exact holds_zero|auto].
Qed.
Lemma hold_stretched i h q x : holds_number i h -> hold q x -> forall j c, holds_number j c ->
  hold (stretched intervals i j q) (stretched reals h c x).
Proof.
  intros Hi H; induction H as [|a b q x Ha H IH]; intros j c Hj; cbn [stretched]; [constructor|].
  constructor; [apply holds_mul; auto|]. apply IH. apply holds_mul; auto.
Qed.
Lemma hold_substituted i j a b q x : holds_number i a -> holds_number j b -> hold q x ->
  hold (substituted intervals i j q) (substituted reals a b x).
Proof.
  intros Hi Hj H; induction H as [|c d q x Hc H IH]; cbn [substituted]; [constructor|].
  apply hold_plus; [constructor; auto|]. apply hold_plus; [apply hold_scale; auto|].
  constructor; [exact holds_zero|apply hold_scale; auto].
Qed.
Lemma poly_cons a q x : poly (a :: q) x = a + x * poly q x.
Proof. reflexivity. Qed.
Lemma moved_value q x : poly (moved reals q) x = poly q (x + 1).
Proof.
  induction q as [|a q IH]; cbn [moved]; [reflexivity|].
  rewrite !poly_plus, !poly_cons, IH. change (zero reals) with 0. change (poly [] x) with 0. ring.
Qed.
Lemma stretched_value h q x : forall c, poly (stretched reals h c q) x = c * poly q (h * x).
Proof.
  induction q as [|a q IH]; intros c; cbn [stretched]; [simpl; ring|]. rewrite !poly_cons, IH. simpl; ring.
Qed.
Lemma substituted_value a b q x : poly (substituted reals a b q) x = poly q (a + b * x).
Proof.
  induction q as [|c q IH]; cbn [substituted]; [reflexivity|].
  rewrite !poly_plus, !poly_cons, !poly_scale, IH. change (zero reals) with 0. change (poly [] x) with 0. ring.
Qed.

(** ** Bernstein coefficients *)

Definition surely_nonnegative (i : I.type) : bool := match I.sign_large i with Xeq | Xgt => true | _ => false end.
Definition one_half := from_dyadic (Dyadic 1 (-1)).
Definition one := from_dyadic d1.
Fixpoint positive_intervals (fuel : nat) (q : list I.type) : bool :=
  if surely_nonnegative (hd izero q) then
    if forallb surely_nonnegative (moved intervals (rev q)) then true else
    match fuel with
    | O => false
    | S fuel' =>
        let h := stretched intervals one_half one q in
        if positive_intervals fuel' h then positive_intervals fuel' (moved intervals h) else false
    end
  else false.
Lemma surely_spec i x : holds_number i x -> surely_nonnegative i = true -> 0 <= x.
Proof.
  unfold surely_nonnegative; intros H E. pose proof (I.sign_large_correct i) as P.
  destruct (I.sign_large i); try discriminate.
  - specialize (P _ H). inversion P; lra.
  - destruct (P _ H) as [_ P2]. exact P2.
Qed.
Lemma poly_surely q x v : 0 <= v -> hold q x -> forallb surely_nonnegative q = true -> 0 <= poly x v.
Proof.
  intros Hv H; induction H as [|i a q x Hi H IH]; cbn [forallb]; intros E; [simpl; lra|].
  apply andb_prop in E as [E1 E2]. rewrite poly_cons. pose proof (surely_spec i a Hi E1). specialize (IH E2).
  assert (0 <= v * poly x v) by (apply Rmult_le_pos; auto). lra.
Qed.
Theorem positive_intervals_spec fuel : forall q x v, positive_intervals fuel q = true -> hold q x -> 0 <= v <= 1 ->
  0 <= poly x v.
Proof.
  induction fuel as [|fuel IH]; intros q x v; cbn [positive_intervals];
    (destruct (surely_nonnegative (hd izero q)) eqn:E0; [|discriminate]);
    (destruct (forallb surely_nonnegative (moved intervals (rev q))) eqn:E1; [intros _ HQ Hv|]).
  1,3: destruct (Req_dec v 0) as [->|Hv0];
    [ destruct HQ as [|i a q x Hi HQ]; [simpl; lra|]; rewrite poly_cons; pose proof (surely_spec i a Hi E0); lra
    | assert (v * (1 + (/ v - 1)) = 1) as E by (field; auto);
      pose proof (poly_rev x v _ E) as P; rewrite Rplus_comm, <- moved_value in P;
      assert (0 <= / v - 1) as Hv1 by (assert (1 <= / v) by (rewrite <- Rinv_1; apply Rinv_le_contravar; lra); lra);
      pose proof (poly_surely _ _ (/ v - 1) Hv1 (hold_moved _ _ (hold_rev _ _ HQ)) E1) as PS;
      assert (0 <= v ^ length x) by (apply pow_le; lra);
      assert (0 <= v * poly x v) by (rewrite P; apply Rmult_le_pos; auto);
      apply Rmult_le_reg_l with v; lra ].
  - discriminate.
  - destruct (positive_intervals fuel (stretched intervals one_half one q)) eqn:E2; [|discriminate]. intros E3 H Hv.
    pose proof (hold_stretched _ _ q x (holds_dyadic (Dyadic 1 (-1))) H _ _ (holds_dyadic d1)) as HS.
    set (h := value (Dyadic 1 (-1))) in *. rewrite value_1 in HS.
    assert (h = / 2) as Eh by (unfold h, value; simpl; lra).
    destruct (Rle_dec v (1 / 2)).
    + pose proof (IH _ _ (2 * v) E2 HS ltac:(lra)) as P. rewrite stretched_value, Eh in P.
      replace (/ 2 * (2 * v)) with v in P by field. lra.
    + pose proof (IH _ _ (2 * v - 1) E3 (hold_moved _ _ HS) ltac:(lra)) as P.
      rewrite moved_value, stretched_value, Eh in P. replace (/ 2 * (2 * v - 1 + 1)) with v in P by field. lra.
Qed.

(** q(a + b v) *)
Definition enclosure (a b : dyadic) (q : list dyadic) : list I.type :=
  if (mantissa a =? 0)%Z then stretched intervals (from_dyadic b) one (from_dyadics q)
  else substituted intervals (from_dyadic a) (from_dyadic b) (from_dyadics q).
Lemma enclosure_spec a b q : exists x, hold (enclosure a b q) x /\
  forall v, poly x v = dpoly q (value a + value b * v).
Proof.
  unfold enclosure. destruct (Z.eqb_spec (mantissa a) 0) as [E|_]; eexists; split.
  - apply hold_stretched; [apply holds_dyadic|apply hold_dyadics|apply holds_dyadic].
  - intros v. rewrite stretched_value, value_1, Rmult_1_l. f_equal. unfold value at 2; rewrite E; ring.
  - apply hold_substituted; [apply holds_dyadic|apply holds_dyadic|apply hold_dyadics].
  - intros v. apply substituted_value.
Qed.

(** Whether |p(a + b v) - q(c + d v)| <= eps for all v in [0, 1]. *)
Definition close_intervals (fuel : nat) (p : list dyadic) (a b : dyadic) (q : list dyadic) (c d : dyadic) (eps : dyadic) : bool :=
  let r := plus intervals (enclosure a b p) (map I.neg (enclosure c d q)) in
  let e := [from_dyadic eps] in
  if positive_intervals fuel (plus intervals e r) then positive_intervals fuel (plus intervals e (map I.neg r)) else false.
Lemma poly_neg x v : poly (map Ropp x) v = - poly x v.
Proof. induction x as [|a x IH]; cbn [map]; [simpl; ring|]. rewrite !poly_cons, IH; ring. Qed.
Theorem close_intervals_spec fuel p a b q c d eps v : close_intervals fuel p a b q c d eps = true -> 0 <= v <= 1 ->
  Rabs (dpoly p (value a + value b * v) - dpoly q (value c + value d * v)) <= value eps.
Proof.
  unfold close_intervals. cbv zeta. intros E Hv.
  destruct (positive_intervals fuel _) eqn:E1 in E; [|discriminate].
  destruct (enclosure_spec a b p) as (x & HP & EP). destruct (enclosure_spec c d q) as (y & HQ & EQ).
  pose proof (hold_plus _ _ _ _ HP (hold_neg _ _ HQ)) as HR.
  assert (hold [from_dyadic eps] [value eps]) as HE by (constructor; [apply holds_dyadic|constructor]).
  pose proof (positive_intervals_spec _ _ _ v E1 (hold_plus _ _ _ _ HE HR) Hv) as P1.
  pose proof (positive_intervals_spec _ _ _ v E (hold_plus _ _ _ _ HE (hold_neg _ _ HR)) Hv) as P2.
  rewrite !poly_plus, !poly_neg, EP, EQ, poly_cons in P1.
  rewrite !poly_plus, !poly_neg, !poly_plus, !poly_neg, EP, EQ, poly_cons in P2.
  change (poly [] v) with 0 in *. apply Rabs_le; lra.
Qed.

(** ** The checker *)

(** What intervals do not decide is decided exactly. *)
Definition fast_test : test := fun p a b q c d eps =>
  if close_intervals 12 p a b q c d eps then true else close fuel p a b q c d eps.
Lemma fast_test_right : right_test fast_test.
Proof.
  intros p a b q c d eps v; unfold fast_test.
  destruct (close_intervals 12 p a b q c d eps) eqn:E; [intros _; apply (close_intervals_spec 12); auto|apply close_spec].
Qed.

Definition fast_check := check_by fast_test.
Theorem fast_check_sound B net bounds : fast_check B net bounds = true ->
  forall x, inside_box B x ->
  Forall2 (fun b d => Rabs d <= value b) bounds
    (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
Proof. exact (check_by_sound fast_test fast_test_right B net bounds). Qed.

Definition fast_check_divided := check_divided_by fast_test.
Theorem fast_divided_sound g B net bands splits bounds : fast_check_divided g B net bands splits bounds = true ->
  forall x, inside_box B x ->
  Forall2 (fun b d => Rabs d <= value b) bounds
    (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
Proof. exact (divided_by_sound fast_test fast_test_right g B net bands splits bounds). Qed.
