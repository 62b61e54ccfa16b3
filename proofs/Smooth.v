(** * Smooth functions: tables of polynomials, and what is decided by them

    A table has a polynomial T for each interval [c, c + w] of a row of them.  How far T is from f there follows
    from how far it is at c, the number that the interval before ends with, and from a defect: if

        D' = -k D + delta  with  k >= 0  and  |delta| <= r   on [0, w],   then  |D(u)| <= |D(0)| + r u

    ([damped]).  With D = T - f, delta is a polynomial where f solves a linear equation (f' = -f, f' = -z f), and
    T' - f' with k = 0 where a table of f' is at hand ([integrals]).  Errors are added from interval to interval
    ([table_spec]).  T itself may be anything.

    From a table of f follow lines below f: T(c + v) is at least its tangent at c where (T(c + v) - tangent) / v^2
    is not negative, which Bernstein coefficients decide ([smooth_below_spec]); and from one of f' the slopes of
    f ([slopes_within_spec]). *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** Least and greatest of two, and halves *)

Definition dmin := minimum dyadics.
Definition dmax := maximum dyadics.
Lemma dmin_spec x y : value (dmin x y) <= value x /\ value (dmin x y) <= value y.
Proof. unfold dmin; rewrite value_minimum. destruct (minimum_spec (value x) (value y)) as (H1 & H2 & _); auto. Qed.
Lemma dmax_spec x y : value x <= value (dmax x y) /\ value y <= value (dmax x y).
Proof. unfold dmax; rewrite value_maximum. destruct (maximum_spec (value x) (value y)) as (H1 & H2 & _); auto. Qed.
Lemma size_value x : value (size dyadics x) = Rabs (value x).
Proof. rewrite value_size; apply size_abs. Qed.
Lemma double_value x : value (Dyadic (mantissa x) (exponent x + 1)) = 2 * value x.
Proof. unfold value; simpl. rewrite bpow_plus. replace (bpow radix2 1) with 2 by (simpl; auto). ring. Qed.
Definition half (x : dyadic) := Dyadic (mantissa x) (exponent x - 1).
Lemma half_value x : value (half x) = value x / 2.
Proof.
  unfold value, half; simpl. unfold Z.sub; rewrite bpow_plus. replace (bpow radix2 (- (1))) with (/ 2) by (simpl; auto). field.
Qed.

(** ** The part of a piece in [l, u] *)

Definition clip_low (p : piece) (l : dyadic) := match from p with Some a => dmax a l | None => l end.
Definition clip_high (p : piece) (u : dyadic) := match to p with Some b => dmin u b | None => u end.
Lemma clip_spec p l u z : value l <= z <= value u -> in_piece p z ->
  value (clip_low p l) <= z <= value (clip_high p u).
Proof.
  intros Hz [H1 H2]; unfold clip_low, clip_high. split.
  - destruct (from p); [|lra]. unfold dmax. rewrite value_maximum. simpl in H1.
    destruct (maximum_spec (value d) (value l)) as (_ & _ & [->| ->]); lra.
  - destruct (to p); [|lra]. unfold dmin. rewrite value_minimum. simpl in H2.
    destruct (minimum_spec (value u) (value d)) as (_ & _ & [->| ->]); lra.
Qed.
(** v with z = x + (y - x) v. *)
Lemma place x y z : x <= z <= y -> exists v, 0 <= v <= 1 /\ z = x + (y - x) * v.
Proof.
  intros Hz. destruct (Req_dec x y) as [Exy|Exy].
  - exists 0; split; lra.
  - exists ((z - x) / (y - x)); split; [|field; lra].
    split; [apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]|].
    apply Rmult_le_reg_r with (y - x); [lra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra.
Qed.

Definition negated (p : piece) := Piece (from p) (to p) (base p) (map dopp (local p)) (rest p).
Lemma describes_negated f p : describes f p -> describes (fun z => - f z) (negated p).
Proof.
  intros H z Hz. specialize (H z Hz). unfold negated; cbn [local base rest]. rewrite dpoly_opp.
  replace (- f z - - dpoly (local p) (z - value (base p))) with (- (f z - dpoly (local p) (z - value (base p)))) by ring.
  rewrite Rabs_Ropp; exact H.
Qed.

(** ** Whether pieces cover the line: each begins where the one before ends, or further left *)

Fixpoint chained (last : dyadic) (ps : list piece) : bool :=
  match ps with
  | [] => false
  | p :: ps' =>
      if match from p with Some a => dleb a last | None => true end then
        match to p with Some b => chained b ps' | None => true end
      else false
  end.
Definition complete (ps : list piece) : bool :=
  match ps with
  | Piece None (Some b) _ _ _ :: ps' => chained b ps'
  | _ => false
  end.
Lemma complete_spec ps : complete ps = true -> covers ps.
Proof.
  assert (forall ps last z, chained last ps = true -> value last <= z -> exists p, In p ps /\ in_piece p z) as H.
  { clear ps; induction ps as [|p ps IH]; intros last z; cbn [chained]; [discriminate|].
    destruct (match from p with Some a => dleb a last | None => true end) eqn:Ea; [|discriminate]. intros Hb Hz.
    assert (after (from p) z) as Ha by (destruct (from p); simpl; auto; apply dleb_spec in Ea; lra).
    destruct (to p) as [b|] eqn:Et; [destruct (Rle_dec z (value b)) as [Hzb|Hzb]|].
    - exists p; split; [left; auto|]. split; [exact Ha|rewrite Et; exact Hzb].
    - destruct (IH b z Hb ltac:(lra)) as (q & Hq & Hqz). exists q; split; [right|]; auto.
    - exists p; split; [left; auto|]. split; [exact Ha|rewrite Et; exact I]. }
  destruct ps as [|[[a|] [b|] c q r] ps]; cbn [complete]; try discriminate. intros Hb z.
  destruct (Rle_dec z (value b)) as [Hzb|Hzb].
  - eexists; split; [left; reflexivity|]. split; simpl; auto.
  - destruct (H ps b z Hb ltac:(lra)) as (p & Hp & Hpz). exists p; split; [right|]; auto.
Qed.

(** ** Errors of tables *)

Lemma damped (D d Q k : R -> R) w r :
  (forall u, 0 <= u <= w -> is_derive D u (d u)) -> (forall u, 0 <= u <= w -> is_derive Q u (k u)) ->
  (forall u, 0 <= u <= w -> 0 <= k u) -> (forall u, 0 <= u <= w -> Rabs (d u + k u * D u) <= r) ->
  forall u, 0 <= u <= w -> Rabs (D u) <= Rabs (D 0) + r * u.
Proof.
  intros HD HQ Hk Hr u Hu.
  assert (forall sgn, sgn = 1 \/ sgn = -1 -> sgn * D u <= Rabs (D 0) + r * u) as H.
  2:{ pose proof (H 1 (or_introl eq_refl)); pose proof (H (-1) (or_intror eq_refl)). apply Rabs_le; lra. }
  intros sgn Hs. set (m := Rabs (D 0)). pose proof (Rle_abs (D 0)) as M1.
  pose proof (Rle_abs (- D 0)) as M2; rewrite Rabs_Ropp in M2. fold m in M1, M2.
  pose proof (Rabs_pos (D 0)) as M0; fold m in M0. clearbody m.
  assert (0 <= r) as Hr0 by (eapply Rle_trans; [apply Rabs_pos|apply (Hr u Hu)]).
  set (F := fun x => (sgn * D x + (- m + (- r) * x ^ 1)) * exp (Q x)).
  set (F' := fun x => (sgn * (d x + k x * D x) - r - k x * (m + r * x)) * exp (Q x)).
  assert (forall x, 0 <= x <= u -> is_derive F x (F' x)) as HF.
  { intros x Hx. unfold F, F'.
    pose proof (product_derivative (fun _ => sgn) D x _ _ (constant_derivative sgn x) (HD x ltac:(lra))) as D1.
    pose proof (sum_derivative (fun _ => - m) _ x _ _ (constant_derivative (- m) x) (monomial_derivative (- r) 0 x)) as D2.
    pose proof (composed_derivative exp Q x _ _ (is_derive_exp (Q x)) (HQ x ltac:(lra))) as D3.
    pose proof (product_derivative _ _ x _ _ (sum_derivative _ _ x _ _ D1 D2) D3) as D4.
    match type of D4 with is_derive _ _ ?e => replace ((_ - _ - _) * _) with e by (simpl; ring) end. exact D4. }
  pose proof (mean_value_high F F' 0 u 0 (proj1 Hu) HF) as P.
  specialize (P ltac:(intros x Hx; unfold F'; specialize (Hr x ltac:(lra)); specialize (Hk x ltac:(lra));
    pose proof (Rle_abs (d x + k x * D x)) as A1; pose proof (Rle_abs (- (d x + k x * D x))) as A2;
    rewrite Rabs_Ropp in A2; assert (0 <= k x * (m + r * x)) by (apply Rmult_le_pos; nra);
    pose proof (exp_pos (Q x)); destruct Hs as [-> | ->]; nra)).
  unfold F in P. pose proof (exp_pos (Q u)) as E1; pose proof (exp_pos (Q 0)) as E2. simpl in P.
  apply Rnot_lt_le; intros Hlt.
  assert (0 < (sgn * D u + (- m + - r * (u * 1))) * exp (Q u)) by (apply Rmult_lt_0_compat; lra).
  assert ((sgn * D 0 + (- m + - r * (0 * 1))) * exp (Q 0) <= 0) by (destruct Hs as [-> | ->]; nra). lra.
Qed.

(** At least |q(u)| for u in [0, w]. *)
Fixpoint norm_at (w : dyadic) (q : list dyadic) : dyadic :=
  match q with [] => d0 | a :: q' => dadd (size dyadics a) (dmul w (norm_at w q')) end.
Lemma norm_at_spec w q u : 0 <= u <= value w -> Rabs (dpoly q u) <= value (norm_at w q).
Proof.
  intros Hu; induction q as [|a q IH]; cbn [norm_at].
  - change (dpoly [] u) with 0. rewrite Rabs_R0, value_0; lra.
  - rewrite dpoly_cons, value_add, value_mul, size_value. eapply Rle_trans; [apply Rabs_triang|].
    apply Rplus_le_compat_l. rewrite Rabs_mult, (Rabs_right u) by lra.
    apply Rmult_le_compat; try apply Rabs_pos; lra.
Qed.
Definition difference (p q : list dyadic) := plus dyadics p (map dopp q).
Lemma difference_spec p q u : dpoly (difference p q) u = dpoly p u - dpoly q u.
Proof. unfold difference; rewrite dpoly_plus, dpoly_opp; ring. Qed.

Section Table.
Variables (f : R -> R) (w : dyadic).
Hypothesis positive_width : 0 <= value w.

(** On [c, c + w], T is no further from f than at c, but for r. *)
Definition follows (c : dyadic) (T : list dyadic) (r : dyadic) := forall u, 0 <= u <= value w ->
  Rabs (dpoly T u - f (value c + u)) <= Rabs (dpoly T 0 - f (value c)) + value r.
Fixpoint follow (c : dyadic) (cells : list (list dyadic * dyadic)) : Prop :=
  match cells with [] => True | (T, r) :: cs => follows c T r /\ follow (dadd c w) cs end.

(** f(c) is within e of y. *)
Definition arriving_error (y e : dyadic) (T : list dyadic) (r : dyadic) :=
  ceiling (-130) (dadd (dadd e (size dyadics (dsub y (hd d0 T)))) r).
Fixpoint table (c y e : dyadic) (cells : list (list dyadic * dyadic)) : list piece :=
  match cells with
  | [] => []
  | (T, r) :: cs =>
      let e' := arriving_error y e T r in Piece (Some c) (Some (dadd c w)) c T e' :: table (dadd c w) (horner T w) e' cs
  end.
Fixpoint finally (c y e : dyadic) (cells : list (list dyadic * dyadic)) : dyadic * dyadic * dyadic :=
  match cells with [] => (c, y, e) | (T, r) :: cs => finally (dadd c w) (horner T w) (arriving_error y e T r) cs end.

Lemma table_spec cells : forall c y e, follow c cells -> Rabs (value y - f (value c)) <= value e ->
  Forall (describes f) (table c y e cells) /\
  let '(c', y', e') := finally c y e cells in Rabs (value y' - f (value c')) <= value e'.
Proof.
  induction cells as [|[T r] cells IH]; intros c y e HF He; cbn [table finally]; [split; [constructor|exact He]|].
  destruct HF as [HT HF]. set (e' := arriving_error y e T r).
  assert (dpoly T 0 = value (hd d0 T)) as E0 by (destruct T; simpl; rewrite ?value_0; ring).
  assert (forall u, 0 <= u <= value w -> Rabs (dpoly T u - f (value c + u)) <= value e') as H.
  { intros u Hu. eapply Rle_trans; [apply (HT u Hu)|]. unfold e', arriving_error.
    eapply Rle_trans; [|apply ceiling_spec]. rewrite !value_add, size_value, value_sub, E0.
    apply Rplus_le_compat_r.
    replace (value (hd d0 T) - f (value c)) with ((value y - f (value c)) + - (value y - value (hd d0 T))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  destruct (IH (dadd c w) (horner T w) e' HF) as [IH1 IH2].
  { rewrite horner_spec, value_add. apply H; lra. }
  split; [|exact IH2]. constructor; [|exact IH1].
  intros z [H1 H2]; simpl in H1, H2; rewrite value_add in H2. cbn [local base rest].
  rewrite Rabs_minus_sym. replace (f z) with (f (value c + (z - value c))) by (f_equal; ring). apply H; lra.
Qed.
End Table.

(** A table of a function from one of its derivative. *)
Definition antiderivative (q : list dyadic) : list dyadic :=
  (fix go (k : Z) (q : list dyadic) :=
    match q with [] => [] | a :: q' => Dyadic (scaled a (-110) / k) (-110) :: go (k + 1)%Z q' end) 1%Z q.
Fixpoint integrals (w y : dyadic) (ps : list piece) : list (list dyadic * dyadic) :=
  match ps with
  | [] => []
  | p :: ps' =>
      let T := y :: antiderivative (local p) in
      (T, dmul w (dadd (norm_at w (difference (derivative T) (local p))) (rest p)))
        :: integrals w (floor (-110) (horner T w)) ps'
  end.
Definition fits (w c : dyadic) (p : piece) : bool :=
  match from p, to p with
  | Some a, Some b => if dleb a c then if dleb (dadd c w) b then (mantissa (dsub (base p) c) =? 0)%Z else false else false
  | _, _ => false
  end.
Fixpoint fitting (w c : dyadic) (ps : list piece) : bool :=
  match ps with [] => true | p :: ps' => if fits w c p then fitting w (dadd c w) ps' else false end.

Lemma fits_spec w c p : fits w c p = true -> forall u, 0 <= u <= value w ->
  in_piece p (value c + u) /\ value c + u - value (base p) = u.
Proof.
  unfold fits, in_piece; intros E u Hu. destruct (from p) as [a|]; [|discriminate]. destruct (to p) as [b|]; [|discriminate].
  destruct (dleb a c) eqn:E1; [|discriminate]. destruct (dleb (dadd c w) b) eqn:E2; [|discriminate].
  apply dleb_spec in E1, E2. rewrite value_add in E2. apply Z.eqb_eq in E.
  pose proof (value_sub (base p) c) as P. unfold value at 1 in P. rewrite E in P. simpl. lra.
Qed.
Lemma shifted_function (f f' : R -> R) c u : is_derive f (c + u) (f' (c + u)) ->
  is_derive (fun u => f (c + u)) u (f' (c + u)).
Proof.
  intros H. replace (f' (c + u)) with (1 * f' (c + u)) by ring.
  apply (composed_derivative f (fun u => c + u) u _ 1 H).
  replace 1 with (0 + 1) by ring. apply (sum_derivative (fun _ => c) (fun u => u)); [apply constant_derivative|apply @is_derive_id].
Qed.
Lemma minus_derivative (f g : R -> R) (x a b : R) : is_derive f x a -> is_derive g x b ->
  is_derive (fun x => f x - g x) x (a - b).
Proof. intros Hf Hg; exact (is_derive_minus (K := R_AbsRing) (V := R_NormedModule) f g x a b Hf Hg). Qed.

(** The defect delta of T with respect to a k >= 0 on [c, c + w]. *)
Lemma defect_follows (f f' Q k : R -> R) w c T r : (forall z, is_derive f z (f' z)) ->
  (forall u, is_derive Q u (k u)) -> (forall u, 0 <= u <= value w -> 0 <= k u) ->
  (forall u, 0 <= u <= value w ->
    Rabs (dpoly (derivative T) u - f' (value c + u) + k u * (dpoly T u - f (value c + u))) <= value r) ->
  follows f w c T (dmul w r).
Proof.
  intros Hf HQ Hk Hr u Hu. rewrite value_mul.
  pose proof (damped (fun u => dpoly T u - f (value c + u)) (fun u => dpoly (derivative T) u - f' (value c + u)) Q k
    (value w) (value r)) as P.
  specialize (P (fun u _ => minus_derivative _ _ u _ _ (derivative_spec T u) (shifted_function f f' (value c) u (Hf _)))).
  specialize (P (fun u _ => HQ u) Hk Hr u Hu). cbv beta in P. rewrite Rplus_0_r in P.
  assert (0 <= value r) by (eapply Rle_trans; [apply Rabs_pos|apply (Hr u Hu)]). nra.
Qed.
Lemma integrals_follow (f f' : R -> R) w ps : (forall z, is_derive f z (f' z)) ->
  Forall (describes f') ps -> forall c y, fitting w c ps = true -> follow f w c (integrals w y ps).
Proof.
  intros Hf H; induction H as [|p ps Hp H IH]; intros c y HF; cbn [integrals follow fitting] in *; [exact I|].
  destruct (fits w c p) eqn:E; [|discriminate]. split; [|apply IH; auto].
  set (T := y :: antiderivative (local p)).
  apply (defect_follows f f' (fun _ => 0) (fun _ => 0) w c T _ Hf (constant_derivative 0) (fun _ _ => Rle_refl 0)).
  intros u Hu. rewrite value_add.
  replace (dpoly (derivative T) u - f' (value c + u) + 0 * (dpoly T u - f (value c + u)))
    with (dpoly (difference (derivative T) (local p)) u + - (f' (value c + u) - dpoly (local p) u))
    by (rewrite difference_spec; ring).
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp.
  apply Rplus_le_compat; [apply norm_at_spec; auto|].
  destruct (fits_spec w c p E u Hu) as [Hin Eu]. specialize (Hp _ Hin). rewrite Eu in Hp; exact Hp.
Qed.

(** ** Other polynomials for a piece: about its left end, and of lower degree *)

Definition rebased (p : piece) : piece :=
  match from p, to p with
  | Some a, Some b =>
      if dleb (dsub b a) d1 then
        let (q, e) := composed (-110) (dsub a (base p)) d1 (local p) in Piece (from p) (to p) a q (dadd (rest p) e)
      else p
  | _, _ => p
  end.
Definition shortened (n : nat) (p : piece) : piece :=
  match from p, to p with
  | Some a, Some b =>
      if dleb (base p) a then
        let q := firstn n (poly_floor (-90) (local p)) in
        Piece (from p) (to p) (base p) q
          (ceiling (-110) (dadd (rest p) (norm_at (dsub b (base p)) (difference (local p) q))))
      else p
  | _, _ => p
  end.
Lemma describes_rebased f p : describes f p -> describes f (rebased p).
Proof.
  intros H; unfold rebased. destruct (from p) as [a|] eqn:Ea; auto. destruct (to p) as [b|] eqn:Eb; auto.
  destruct (dleb (dsub b a) d1) eqn:E; auto. apply dleb_spec in E; rewrite value_sub, value_1 in E.
  destruct (composed (-110) (dsub a (base p)) d1 (local p)) as [q e] eqn:Ec.
  intros z [H1 H2]; cbn [from to base local rest] in *; simpl in H1, H2.
  pose proof (composed_spec (-110) (dsub a (base p)) d1 (local p) (z - value a) ltac:(lra)) as P.
  rewrite Ec, value_sub, value_1 in P; cbn [fst snd] in P.
  replace (value a - value (base p) + 1 * (z - value a)) with (z - value (base p)) in P by ring.
  specialize (H z ltac:(split; [rewrite Ea|rewrite Eb]; simpl; lra)). rewrite value_add.
  replace (f z - dpoly q (z - value a)) with ((f z - dpoly (local p) (z - value (base p))) +
    (dpoly (local p) (z - value (base p)) - dpoly q (z - value a))) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma describes_shortened n f p : describes f p -> describes f (shortened n p).
Proof.
  intros H; unfold shortened. destruct (from p) as [a|] eqn:Ea; auto. destruct (to p) as [b|] eqn:Eb; auto.
  destruct (dleb (base p) a) eqn:E; auto. apply dleb_spec in E. set (q := firstn n _).
  intros z [H1 H2]; cbn [from to base local rest] in *; simpl in H1, H2.
  eapply Rle_trans; [|apply ceiling_spec]. rewrite value_add.
  specialize (H z ltac:(split; [rewrite Ea|rewrite Eb]; simpl; lra)).
  pose proof (norm_at_spec (dsub b (base p)) (difference (local p) q) (z - value (base p))) as P.
  rewrite value_sub, difference_spec in P. specialize (P ltac:(lra)).
  replace (f z - dpoly q (z - value (base p))) with ((f z - dpoly (local p) (z - value (base p))) +
    (dpoly (local p) (z - value (base p)) - dpoly q (z - value (base p)))) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma describes_all (f g : R -> R) (h : piece -> piece) ps : (forall p, describes f p -> describes g (h p)) ->
  Forall (describes f) ps -> Forall (describes g) (map h ps).
Proof. intros H HF; induction HF; cbn [map]; constructor; auto. Qed.

(** ** Values at points *)

Definition holds_point (p : piece) (z : dyadic) : bool :=
  match from p with Some a => dleb a z | None => true end && match to p with Some b => dleb z b | None => true end.
(** Two numbers between which the function is at z. *)
Definition at_point (ps : list piece) (z : dyadic) : option (dyadic * dyadic) :=
  match find (fun p => holds_point p z) ps with
  | Some p =>
      let (q, e) := composed (-90) (dsub z (base p)) d0 (local p) in
      let (y, w) := (hd d0 q, dadd e (rest p)) in Some (dsub y w, dadd y w)
  | None => None
  end.
Lemma holds_point_spec p z : holds_point p z = true -> in_piece p (value z).
Proof.
  unfold holds_point; intros H; apply andb_prop in H as [H1 H2].
  split; [destruct (from p)|destruct (to p)]; simpl; auto; apply dleb_spec; auto.
Qed.
Lemma at_point_spec f ps z a b : Forall (describes f) ps -> at_point ps z = Some (a, b) ->
  value a <= f (value z) <= value b.
Proof.
  unfold at_point. intros H. destruct (find _ _) as [p|] eqn:E; [|discriminate].
  apply find_some in E as [E1 E2]. apply holds_point_spec in E2.
  rewrite Forall_forall in H. specialize (H p E1 _ E2).
  pose proof (composed_spec (-90) (dsub z (base p)) d0 (local p) 0 ltac:(lra)) as Hc.
  rewrite value_sub, Rmult_0_r, Rplus_0_r in Hc.
  destruct (composed (-90) (dsub z (base p)) d0 (local p)) as [q e]; cbn [fst snd] in *.
  intros E; injection E as <- <-. rewrite value_sub, !value_add. replace (dpoly q 0) with (value (hd d0 q)) in Hc
    by (destruct q; simpl; rewrite ?value_0; ring).
  revert H Hc; unfold Rabs. destruct (Rcase_abs _), (Rcase_abs _); lra.
Qed.

(** ** Lines below *)

Definition under (f : R -> R) (l u a m : R) := forall t, l <= t <= u -> a * t + m <= f t.

(** A number not above q(x + b v) - a (x + b v) for v in [0, 1]: by the tangent at x, or goal itself. *)
Definition least_half (goal a : dyadic) (p : piece) (x b : dyadic) : option dyadic :=
  let (r, e) := composed (-90) (dsub x (base p)) b (local p) in
  let q := plus dyadics r [dopp (dmul a x); dopp (dmul a b)] in
  let margin := dadd e (rest p) in
  let by_tangent := positive 6 (tl (tl q)) in
  let y := hd d0 q in
  let m := dsub (dmin y (dadd y (hd d0 (tl q)))) margin in
  if andb by_tangent (dleb goal m) then Some m
  else if positive 12 (plus dyadics [dopp (dadd goal margin)] q) then Some goal
  else if by_tangent then Some m else None.
(** From all pieces in [l, u]; c says where the line touches. *)
Fixpoint least_smooth (goal : dyadic) (ps : list piece) (l u a c : dyadic) : option dyadic :=
  match ps with
  | [] => Some goal
  | p :: ps' =>
      let (x, y) := (clip_low p l, clip_high p u) in
      if dleb x y then
        let t := dmin (dmax c x) y in
        match least_half goal a p t (dsub x t) with
        | Some m =>
            match least_half goal a p t (dsub y t) with
            | Some m' =>
                match least_smooth goal ps' l u a c with Some m'' => Some (dmin m (dmin m' m'')) | None => None end
            | None => None
            end
        | None => None
        end
      else least_smooth goal ps' l u a c
  end.
Definition smooth_below (ps : list piece) (a c l u : dyadic) : option dyadic :=
  let t := dmin (dmax c l) u in
  let at_ z := match at_point ps z with Some (y, _) => dsub y (dmul a z) | None => d0 end in
  least_smooth (dsub (floor (-90) (dmin (at_ t) (dmin (at_ l) (at_ u)))) (Dyadic 1 (-60))) ps l u a t.
Definition smooth_above (ps : list piece) (a c l u : dyadic) : option dyadic :=
  match smooth_below (map negated ps) (dopp a) c l u with Some m => Some (dopp m) | None => None end.

Lemma least_half_spec f goal a p x b m v : describes f p -> least_half goal a p x b = Some m ->
  0 <= v <= 1 -> in_piece p (value x + value b * v) ->
  value m <= f (value x + value b * v) - value a * (value x + value b * v).
Proof.
  intros Hp H Hv Hin. unfold least_half in H.
  pose proof (composed_spec (-90) (dsub x (base p)) b (local p) v Hv) as Hc. specialize (Hp _ Hin).
  destruct (composed (-90) (dsub x (base p)) b (local p)) as [r e]; cbn [fst snd] in Hc.
  set (q := plus dyadics r [dopp (dmul a x); dopp (dmul a b)]) in *.
  set (t := value x + value b * v) in *. rewrite value_sub in Hc.
  replace (value x - value (base p) + value b * v) with (t - value (base p)) in Hc by (unfold t; ring).
  assert (dpoly q v = dpoly r v - value a * t) as Eq.
  { unfold q; rewrite dpoly_plus, !dpoly_cons, !value_opp, !value_mul. change (dpoly [] v) with 0. unfold t; ring. }
  assert (dpoly q v - value (dadd e (rest p)) <= f t - value a * t) as Hm.
  { rewrite Eq, value_add. revert Hp Hc; unfold Rabs; repeat destruct (Rcase_abs _); lra. }
  set (y := hd d0 q) in *. set (t1 := dadd y (hd d0 (tl q))) in *.
  assert (positive 6 (tl (tl q)) = true -> value (dsub (dmin y t1) (dadd e (rest p))) <= f t - value a * t) as HT.
  { intros E. pose proof (positive_spec _ _ v E Hv) as P.
    assert (dpoly q v = value y + v * value (hd d0 (tl q)) + v * v * dpoly (tl (tl q)) v) as E3.
    { unfold y; destruct q as [|q0 [|q1 q]]; cbn [hd tl]; rewrite ?dpoly_cons, ?value_0; change (dpoly [] v) with 0; ring. }
    assert (0 <= v * v * dpoly (tl (tl q)) v) by (apply Rmult_le_pos; nra).
    rewrite value_sub. destruct (dmin_spec y t1) as [M1 M2]. unfold t1 in M2 at 2. rewrite value_add in M2. nra. }
  destruct (positive 6 (tl (tl q))); cbn [andb] in H.
  - destruct (dleb goal _); [injection H as <-; apply HT; auto|].
    destruct (positive 12 _) eqn:E2; injection H as <-; [|apply HT; auto].
    pose proof (positive_spec _ _ v E2 Hv) as P.
    rewrite dpoly_plus, dpoly_cons, value_opp, value_add in P. change (dpoly [] v) with 0 in P. lra.
  - destruct (positive 12 _) eqn:E2; [|discriminate]. injection H as <-.
    pose proof (positive_spec _ _ v E2 Hv) as P.
    rewrite dpoly_plus, dpoly_cons, value_opp, value_add in P. change (dpoly [] v) with 0 in P. lra.
Qed.
Lemma least_smooth_spec f goal ps l u a c m : Forall (describes f) ps -> least_smooth goal ps l u a c = Some m ->
  forall t, value l <= t <= value u -> (exists p, In p ps /\ in_piece p t) -> value a * t + value m <= f t.
Proof.
  intros H; revert m; induction H as [|p ps Hp H IH]; intros m Hm t Ht (q & Hq & Hqt); [contradiction|].
  cbn [least_smooth] in Hm. pose proof (clip_spec p l u t Ht) as Hxy.
  set (x := clip_low p l) in *; set (y := clip_high p u) in *.
  destruct (dleb x y) eqn:E.
  - set (s := dmin (dmax c x) y) in *.
    destruct (least_half goal a p s (dsub x s)) as [m1|] eqn:E1; [|discriminate].
    destruct (least_half goal a p s (dsub y s)) as [m2|] eqn:E2; [|discriminate].
    destruct (least_smooth goal ps l u a c) as [m3|]; [|discriminate]. injection Hm as <-.
    destruct (dmin_spec m1 (dmin m2 m3)) as [M1 M2]; destruct (dmin_spec m2 m3) as [M3 M4].
    destruct Hq as [<-|Hq]; [|specialize (IH _ eq_refl t Ht (ex_intro _ q (conj Hq Hqt))); lra].
    specialize (Hxy Hqt). destruct (Rle_dec t (value s)) as [Hs|Hs].
    + destruct (place (- value s) (- value x) (- t) ltac:(lra)) as (v & Hv & Ev).
      pose proof (least_half_spec f goal a p s (dsub x s) m1 v Hp E1 Hv) as P. rewrite value_sub in P.
      replace (value s + (value x - value s) * v) with t in P by lra. specialize (P Hqt). lra.
    + destruct (place (value s) (value y) t ltac:(lra)) as (v & Hv & Ev).
      pose proof (least_half_spec f goal a p s (dsub y s) m2 v Hp E2 Hv) as P. rewrite value_sub in P.
      replace (value s + (value y - value s) * v) with t in P by lra. specialize (P Hqt). lra.
  - apply IH; auto. destruct Hq as [<-|Hq]; [|exists q; auto].
    specialize (Hxy Hqt). assert (dleb x y = true) by (apply dleb_spec; lra). congruence.
Qed.
Theorem smooth_below_spec f ps a c l u m : Forall (describes f) ps -> covers ps -> smooth_below ps a c l u = Some m ->
  under f (value l) (value u) (value a) (value m).
Proof. intros H HC E t Ht. eapply least_smooth_spec; eauto. Qed.
Theorem smooth_above_spec f ps a c l u m : Forall (describes f) ps -> covers ps -> smooth_above ps a c l u = Some m ->
  forall t, value l <= t <= value u -> f t <= value a * t + value m.
Proof.
  intros H HC E t Ht. unfold smooth_above in E.
  destruct (smooth_below (map negated ps) (dopp a) c l u) as [m'|] eqn:Em; [|discriminate]. injection E as <-.
  pose proof (smooth_below_spec (fun z => - f z) (map negated ps) (dopp a) c l u m') as P.
  specialize (P (describes_all f _ negated ps (describes_negated f) H)).
  assert (covers (map negated ps)) as HC'.
  { intros z; destruct (HC z) as (p & Hp & Hz). exists (negated p); split; [apply in_map; auto|exact Hz]. }
  specialize (P HC' Em t Ht). cbv beta in P. rewrite value_opp in *. lra.
Qed.

(** ** Slopes *)

Definition slope_bounds (f : R -> R) (l u a b : R) :=
  forall v w, l <= v <= u -> l <= w <= u -> w <= v -> a * (v - w) <= f v - f w <= b * (v - w).

(** Whether a function of these pieces is between lo and hi on [l, u]. *)
Fixpoint values_within (ps : list piece) (l u lo hi : dyadic) : bool :=
  match ps with
  | [] => true
  | p :: ps' =>
      let (x, y) := (clip_low p l, clip_high p u) in
      if dleb x y then
        let (r, e) := composed (-90) (dsub x (base p)) (dsub y x) (local p) in
        let margin := dadd e (rest p) in
        if positive 32 (plus dyadics [dopp (dadd lo margin)] r) then
        if positive 32 (plus dyadics [dsub hi margin] (map dopp r)) then values_within ps' l u lo hi
        else false else false
      else values_within ps' l u lo hi
  end.
Lemma values_within_spec f ps l u lo hi : Forall (describes f) ps -> values_within ps l u lo hi = true ->
  forall t, value l <= t <= value u -> (exists p, In p ps /\ in_piece p t) -> value lo <= f t <= value hi.
Proof.
  intros H; induction H as [|p ps Hp H IH]; intros E t Ht (q & Hq & Hqt); [contradiction|].
  cbn [values_within] in E. pose proof (clip_spec p l u t Ht) as Hxy.
  set (x := clip_low p l) in *; set (y := clip_high p u) in *.
  destruct (dleb x y) eqn:Exy.
  - destruct (composed (-90) (dsub x (base p)) (dsub y x) (local p)) as [r e] eqn:Ec.
    destruct (positive 32 (plus dyadics [dopp (dadd lo (dadd e (rest p)))] r)) eqn:E1; [|discriminate].
    destruct (positive 32 (plus dyadics [dsub hi (dadd e (rest p))] (map dopp r))) eqn:E2; [|discriminate].
    destruct Hq as [<-|Hq]; [|apply IH; auto; exists q; auto]. specialize (Hxy Hqt).
    destruct (place (value x) (value y) t Hxy) as (v & Hv & Ev).
    pose proof (composed_spec (-90) (dsub x (base p)) (dsub y x) (local p) v Hv) as Hc. rewrite Ec, !value_sub in Hc.
    cbn [fst snd] in Hc.
    replace (value x - value (base p) + (value y - value x) * v) with (t - value (base p)) in Hc by lra.
    apply (fun h => positive_spec _ _ v h Hv) in E1. apply (fun h => positive_spec _ _ v h Hv) in E2.
    rewrite dpoly_plus, dpoly_cons, value_opp, !value_add in E1.
    rewrite dpoly_plus, dpoly_cons, dpoly_opp, value_sub, value_add in E2. change (dpoly [] v) with 0 in *.
    specialize (Hp t Hqt). revert Hp Hc; unfold Rabs; repeat destruct (Rcase_abs _); lra.
  - apply IH; auto. destruct Hq as [<-|Hq]; [|exists q; auto].
    specialize (Hxy Hqt). assert (dleb x y = true) by (apply dleb_spec; lra). congruence.
Qed.
Theorem slopes_within_spec (f f' : R -> R) ps l u lo hi : Forall (describes f') ps -> covers ps ->
  (forall t, value l <= t <= value u -> is_derive f t (f' t)) -> values_within ps l u lo hi = true ->
  slope_bounds f (value l) (value u) (value lo) (value hi).
Proof.
  intros H HC Hd E v w Hv Hw Hvw.
  pose proof (fun t (Ht : w <= t <= v) => values_within_spec f' ps l u lo hi H E t ltac:(lra) (HC t)) as B.
  split; [apply (mean_value_low f f' w v _ Hvw)|apply (mean_value_high f f' w v _ Hvw)]; intros t Ht;
    try (apply Hd; lra); apply B; auto.
Qed.
