(** * SLNNs approximate every network with Lipschitz activations

    For every network whose activations are Lipschitz on bounded intervals, every box
    [a_1, b_1] x ... x [a_n, b_n] of inputs and every eps > 0 there is an SLNN with the same weights that
    differs from the network by at most eps at every output, everywhere on the box ([existence]).  Its
    coefficients are real numbers, made of values of the activations.  Every activation of Activations.v is
    Lipschitz on bounded intervals ([activations_lipschitz]), so that nothing is asked of networks of these
    ([existence_for_activations]).

    Each output of an SLNN is one polynomial in the inputs, of total degree at most the product of the degrees
    of its layers ([outputs_are_polynomials]); so each output of the network is within eps of one on the box
    ([existence_of_polynomials]).  This is Representation.v, (a) and (b), once more: rings of mathcomp come with a
    choice function, which the axioms under Coq's real numbers do not give them.

    Degrees are explicit ([approximation]).  Let R_i be ranges of the pre-activations, J_i = [a, b] the
    range enlarged by 1 at both ends, L >= 1 a Lipschitz constant of all activations on all J_i, w >= 1
    a bound of all ||W||, q the number of activation layers (1 if there is none), m that of affine
    layers and delta = min(eps, 1) / (q L^q w^m); m = q + 1 where they alternate.  Neuron i gets
    Bernstein's polynomial of its activation on J_i, of the least degree n > (L (b - a) / (2 delta))^2:
    its error is at most L (b - a) / (2 sqrt n) <= delta ([bernstein_error]).

    Bernstein's polynomial B of degree n of a function s on [a, b],

        B(a + (b - a) t) = sum_k s(a + (b - a) k / n) C(n, k) t^k (1 - t)^(n - k),

    is the mean of s(a + (b - a) K / n) for a binomial K, so that |B - s| <= L (b - a) E|K/n - t|
    <= L (b - a) sqrt(t (1 - t) / n) by the variance of K and Cauchy's inequality. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From SLNN Require Import Propagation Dyadic Tanh Exponential Gaussian Activations.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** Bernstein polynomials *)

(** The mean of f(K + j), K binomial with n trials of probability t: one trial at a time. *)
Fixpoint mean (t : R) (n : nat) (f : nat -> R) : R :=
  match n with
  | O => f O
  | S n' => t * mean t n' (fun k => f (S k)) + (1 - t) * mean t n' f
  end.

Lemma mean_ext t n f g : (forall k, (k <= n)%nat -> f k = g k) -> mean t n f = mean t n g.
Proof.
  revert f g; induction n as [|n IH]; intros f g H; simpl; [apply H; lia|].
  rewrite (IH _ (fun k => g (S k))), (IH f g); auto; intros; apply H; lia.
Qed.
Lemma mean_linear t n a b f g : mean t n (fun k => a * f k + b * g k) = a * mean t n f + b * mean t n g.
Proof. revert f g; induction n as [|n IH]; intros f g; simpl; [ring|]. rewrite !IH; ring. Qed.
Lemma mean_const t n c : mean t n (fun _ => c) = c.
Proof. induction n as [|n IH]; simpl; [ring|]. rewrite IH; ring. Qed.
Lemma mean_le t n f g : 0 <= t <= 1 -> (forall k, (k <= n)%nat -> f k <= g k) -> mean t n f <= mean t n g.
Proof.
  intros Ht; revert f g; induction n as [|n IH]; intros f g H; simpl; [apply H; lia|].
  apply Rplus_le_compat; apply Rmult_le_compat_l; try lra; apply IH; intros; apply H; lia.
Qed.
Lemma mean_first t n : mean t n INR = INR n * t.
Proof.
  induction n as [|n IH]; [simpl; ring|].
  change (mean t (S n) INR) with (t * mean t n (fun k => INR (S k)) + (1 - t) * mean t n INR).
  rewrite (mean_ext t n (fun k => INR (S k)) (fun k => 1 * INR k + 1 * 1)) by (intros; rewrite S_INR; ring).
  rewrite (mean_linear t n 1 1 INR (fun _ => 1)), mean_const, IH, S_INR; ring.
Qed.
Lemma mean_square t n : mean t n (fun k => INR k * INR k) = INR n * t * (1 - t) + (INR n * t) * (INR n * t).
Proof.
  induction n as [|n IH]; [simpl; ring|].
  change (mean t (S n) (fun k => INR k * INR k))
    with (t * mean t n (fun k => INR (S k) * INR (S k)) + (1 - t) * mean t n (fun k => INR k * INR k)).
  rewrite (mean_ext t n (fun k => INR (S k) * INR (S k))
    (fun k => 1 * (INR k * INR k) + 1 * (2 * INR k + 1 * 1))) by (intros; rewrite S_INR; ring).
  rewrite (mean_linear t n 1 1 (fun k => INR k * INR k) (fun k => 2 * INR k + 1 * 1)),
    (mean_linear t n 2 1 INR (fun _ => 1)), mean_const, IH, mean_first, S_INR; ring.
Qed.

(** The variance of K / n. *)
Lemma variance t n : (0 < n)%nat -> mean t n (fun k => (INR k / INR n - t) * (INR k / INR n - t)) = t * (1 - t) / INR n.
Proof.
  intros Hn; apply lt_INR in Hn; simpl in Hn.
  rewrite (mean_ext t n _ (fun k => / (INR n * INR n) * (INR k * INR k)
    + 1 * (- (2 * t / INR n) * INR k + t * t * 1))) by (intros; field; lra).
  rewrite (mean_linear t n (/ (INR n * INR n)) 1 (fun k => INR k * INR k)
    (fun k => - (2 * t / INR n) * INR k + t * t * 1)),
    (mean_linear t n (- (2 * t / INR n)) (t * t) INR (fun _ => 1)), mean_const, mean_first, mean_square.
  field; lra.
Qed.

(** Cauchy's inequality for means: (E f)^2 <= E f^2. *)
Lemma cauchy t n f : 0 <= t <= 1 -> mean t n f * mean t n f <= mean t n (fun k => f k * f k).
Proof.
  intros Ht. set (m := mean t n f).
  assert (0 <= mean t n (fun k => (f k - m) * (f k - m))) as H.
  { rewrite <- (mean_const t n 0). apply mean_le; auto; intros; apply Rle_0_sqr. }
  rewrite (mean_ext t n _ (fun k => 1 * (f k * f k) + 1 * (-2 * m * f k + m * m * 1))) in H by (intros; ring).
  rewrite (mean_linear t n 1 1 (fun k => f k * f k) (fun k => -2 * m * f k + m * m * 1)),
    (mean_linear t n (-2 * m) (m * m) f (fun _ => 1)), mean_const in H. fold m in H. lra.
Qed.

Definition lipschitz (L a b : R) (s : R -> R) :=
  forall u v, a <= u <= b -> a <= v <= b -> Rabs (s u - s v) <= L * Rabs (u - v).

Definition bernstein (n : nat) (a b : R) (s : R -> R) (z : R) : R :=
  mean ((z - a) / (b - a)) n (fun k => s (a + (b - a) * (INR k / INR n))).

Lemma mean_deviation t n : (0 < n)%nat -> 0 <= t <= 1 ->
  mean t n (fun k => Rabs (INR k / INR n - t)) <= / (2 * sqrt (INR n)).
Proof.
  intros Hn Ht. assert (0 < INR n) as Hn' by (apply lt_INR in Hn; exact Hn).
  pose proof (sqrt_lt_R0 _ Hn') as Hs. pose proof (sqrt_sqrt (INR n) (Rlt_le _ _ Hn')) as E.
  apply Rsqr_incr_0_var; [|left; apply Rinv_0_lt_compat; lra]. unfold Rsqr.
  eapply Rle_trans; [apply cauchy; auto|].
  rewrite (mean_ext t n _ (fun k => (INR k / INR n - t) * (INR k / INR n - t)))
    by (intros; rewrite <- Rabs_mult; apply Rabs_right, Rle_ge, Rle_0_sqr).
  rewrite variance by auto.
  replace (/ (2 * sqrt (INR n)) * / (2 * sqrt (INR n))) with (/ 4 / INR n)
    by (rewrite <- E at 1; field; lra).
  unfold Rdiv; apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; auto|pose proof (Rle_0_sqr (t - / 2)) as Q; unfold Rsqr in Q; lra].
Qed.

(** The error of Bernstein's polynomial. *)
Theorem bernstein_error n a b s L z : (0 < n)%nat -> a < b -> lipschitz L a b s -> a <= z <= b ->
  Rabs (bernstein n a b s z - s z) <= L * (b - a) / (2 * sqrt (INR n)).
Proof.
  intros Hn Hab Hs Hz. assert (0 < INR n) as Hn' by (apply lt_INR in Hn; exact Hn).
  unfold bernstein; set (t := (z - a) / (b - a)).
  assert (0 <= t <= 1) as Ht.
  { unfold t; split; [apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]|].
    apply Rmult_le_reg_r with (b - a); [lra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra. }
  assert (z = a + (b - a) * t) as Ez by (unfold t; field; lra).
  assert (0 <= L) as HL.
  { specialize (Hs a b); rewrite (Rabs_left (a - b)) in Hs by lra.
    assert (0 <= L * - (a - b)) by (eapply Rle_trans; [apply Rabs_pos|apply Hs; lra]). nra. }
  assert (forall k, (k <= n)%nat -> 0 <= INR k / INR n <= 1) as Hk.
  { intros k Hk; apply le_INR in Hk. split; [apply Rmult_le_pos; [apply pos_INR|left; apply Rinv_0_lt_compat; auto]|].
    apply Rmult_le_reg_r with (INR n); auto. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra. }
  assert (forall k, (k <= n)%nat -> Rabs (s (a + (b - a) * (INR k / INR n)) - s z)
    <= L * (b - a) * Rabs (INR k / INR n - t)) as H.
  { intros k Hkn; specialize (Hk k Hkn). eapply Rle_trans; [apply Hs; [nra|lra]|].
    rewrite Ez. replace (a + (b - a) * (INR k / INR n) - (a + (b - a) * t))
      with ((b - a) * (INR k / INR n - t)) by ring.
    rewrite Rabs_mult, (Rabs_right (b - a)) by lra; lra. }
  pose proof (mean_deviation t n Hn Ht) as HD.
  replace (L * (b - a) / (2 * sqrt (INR n))) with (L * (b - a) * / (2 * sqrt (INR n))) by reflexivity.
  assert (forall c, (c = 1 \/ c = -1) ->
    c * (mean t n (fun k => s (a + (b - a) * (INR k / INR n))) - s z) <= L * (b - a) * / (2 * sqrt (INR n))) as HC.
  { intros c Hc.
    replace (c * (mean t n (fun k => s (a + (b - a) * (INR k / INR n))) - s z))
      with (mean t n (fun k => c * s (a + (b - a) * (INR k / INR n)) + - c * s z)).
    2:{ rewrite (mean_linear t n c (- c) (fun k => s (a + (b - a) * (INR k / INR n))) (fun _ => s z)), mean_const; ring. }
    apply Rle_trans with (mean t n (fun k => L * (b - a) * Rabs (INR k / INR n - t) + 0 * 0)).
    - apply mean_le; auto. intros k Hkn; specialize (H k Hkn).
      pose proof (Rle_abs (s (a + (b - a) * (INR k / INR n)) - s z)).
      pose proof (Rle_abs (- (s (a + (b - a) * (INR k / INR n)) - s z))) as H'. rewrite Rabs_Ropp in H'.
      destruct Hc; subst c; lra.
    - rewrite (mean_linear t n (L * (b - a)) 0 (fun k => Rabs (INR k / INR n - t)) (fun _ => 0)).
      assert (0 <= L * (b - a)) by nra. nra. }
  pose proof (HC 1 (or_introl eq_refl)); pose proof (HC (-1) (or_intror eq_refl)).
  unfold Rabs; destruct (Rcase_abs _); lra.
Qed.

(** ... and it is a polynomial, of degree n at most. *)
Definition polynomial (n : nat) (f : R -> R) :=
  exists c : list R, (length c <= S n)%nat /\ forall z, f z = fold_right (fun a r => a + z * r) 0 c.

Lemma polynomial_linear n f g a b c d : polynomial n f -> polynomial n g ->
  polynomial (S n) (fun z => (a + b * z) * f z + (c + d * z) * g z).
Proof.
  intros (p & Hp & Ep) (q & Hq & Eq).
  set (ev := fun (z : R) (c : list R) => fold_right (fun a r => a + z * r) 0 c).
  assert (forall x y z, ev z (plus reals x y) = ev z x + ev z y) as E1.
  { induction x as [|u x IH]; intros [|v y] z; simpl; try lra. fold (ev z (plus reals x y)); rewrite IH; unfold ev; ring. }
  assert (forall k x z, ev z (map (Rmult k) x) = k * ev z x) as E2.
  { induction x as [|u x IH]; intros z; simpl; [ring|]. fold (ev z (map (Rmult k) x)); rewrite IH; unfold ev; ring. }
  assert (forall x y m, (length x <= m -> length y <= m -> length (plus reals x y) <= m)%nat) as E3.
  { induction x as [|u x IH]; intros [|v y] [|m]; simpl; try lia; intros; specialize (IH y m); lia. }
  exists (plus reals (plus reals (map (Rmult a) p) (0 :: map (Rmult b) p))
               (plus reals (map (Rmult c) q) (0 :: map (Rmult d) q))).
  split.
  - repeat apply E3; simpl; rewrite ?map_length; lia.
  - intros z; fold (ev z). rewrite Ep, Eq. fold (ev z p); fold (ev z q).
    change (fold_right (fun a r => a + z * r) 0) with (ev z). rewrite !E1.
    change (ev z (0 :: map (Rmult b) p)) with (0 + z * ev z (map (Rmult b) p)).
    change (ev z (0 :: map (Rmult d) q)) with (0 + z * ev z (map (Rmult d) q)). rewrite !E2; ring.
Qed.

Theorem bernstein_polynomial n a b s : polynomial n (bernstein n a b s).
Proof.
  unfold bernstein. generalize (fun k => s (a + (b - a) * (INR k / INR n))) as f.
  induction n as [|n IH]; intros f; simpl.
  - exists [f O]; split; simpl; [lia|intros; ring].
  - destruct (polynomial_linear n _ _ (- a / (b - a)) (/ (b - a)) (1 + a / (b - a)) (- / (b - a))
      (IH (fun k => f (S k))) (IH f)) as (c & Hc & E).
    exists c; split; auto. intros z; rewrite <- E. unfold Rdiv; ring.
Qed.

(** ** Networks *)

(** A network as it is given: weights, and an activation for each neuron. *)
Inductive given := Weights (W : list (list R)) (b : list R) | Activations (l : list (R -> R)).
Definition network_layer (g : given) (v : list R) :=
  match g with Weights W b => affine reals W b v | Activations l => zip (fun s z => s z) l v end.
Definition network (net : list given) (v : list R) := fold_left (fun v g => network_layer g v) net v.

(** The same weights, and polynomials for activations. *)
Inductive slnn_of : list given -> list given -> Prop :=
| slnn_of_nil : slnn_of [] []
| slnn_of_weights W b net net' : slnn_of net net' -> slnn_of (Weights W b :: net) (Weights W b :: net')
| slnn_of_activations l l' net net' : length l = length l' -> Forall (fun p => exists n, polynomial n p) l' ->
    slnn_of net net' -> slnn_of (Activations l :: net) (Activations l' :: net').

(** Ranges: one list for each layer, empty for weights; they hold the pre-activations for inputs in V. *)
Definition image (g : given) (V : list R -> Prop) v' := exists v, V v /\ v' = network_layer g v.
Definition inside (i : R * R) z := fst i <= z <= snd i.
Fixpoint ranges (net : list given) (rs : list (list (R * R))) (V : list R -> Prop) : Prop :=
  match net, rs with
  | [], [] => True
  | g :: net', r :: rs' => match g with
      | Weights W b => length W = length b
      | Activations l => length l = length r /\ forall v, V v -> Forall2 inside r v
      end /\ ranges net' rs' (image g V)
  | _, _ => False
  end.

Definition norm (W : list (list R)) := greatest reals (map (fun w => total reals (map (size reals) w)) W).

(** ||W|| <= w, and L is a Lipschitz constant on the enlarged ranges. *)
Definition tame_neuron L (s : R -> R) (i : R * R) := fst i <= snd i /\ lipschitz L (fst i - 1) (snd i + 1) s.
Definition tame_layer L w g r :=
  match g with Weights W _ => norm W <= w | Activations l => Forall2 (tame_neuron L) l r end.
Definition tame L w := Forall2 (tame_layer L w).

Definition degree (L delta : R) (i : R * R) : nat :=
  Z.to_nat (up ((L * (snd i - fst i + 2) / (2 * delta)) * (L * (snd i - fst i + 2) / (2 * delta)))).
Definition replace_neuron L delta (s : R -> R) (i : R * R) := bernstein (degree L delta i) (fst i - 1) (snd i + 1) s.
Definition replace_layer L delta g r :=
  match g with Weights W b => Weights W b | Activations l => Activations (zip (replace_neuron L delta) l r) end.
Definition replace L delta := zip (replace_layer L delta).

Lemma replace_neuron_error L delta s i z : 0 < delta -> tame_neuron L s i -> fst i - 1 <= z <= snd i + 1 ->
  Rabs (replace_neuron L delta s i z - s z) <= delta.
Proof.
  intros Hd [Hi Hs] Hz. unfold replace_neuron, degree.
  set (x := L * (snd i - fst i + 2) / (2 * delta)). set (n := Z.to_nat (up (x * x))).
  assert (x * x < INR n) as Hx.
  { destruct (archimed (x * x)) as [H _]. unfold n. rewrite INR_IZR_INZ.
    assert (IZR (up (x * x)) <= IZR (Z.of_nat (Z.to_nat (up (x * x))))) by (apply IZR_le; lia). lra. }
  assert (0 < INR n) as Hn by nra.
  eapply Rle_trans; [apply (bernstein_error n (fst i - 1) (snd i + 1) s L); auto; [apply INR_lt; exact Hn|lra]|].
  replace (L * (snd i + 1 - (fst i - 1))) with (x * (2 * delta)) by (unfold x; field; lra).
  pose proof (sqrt_lt_R0 _ Hn) as Hq. pose proof (sqrt_sqrt (INR n) (Rlt_le _ _ Hn)) as E.
  assert (x <= sqrt (INR n)) by nra.
  apply Rmult_le_reg_r with (2 * sqrt (INR n)); [lra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra. nra.
Qed.

Lemma slnn_of_replace L delta net rs V : ranges net rs V -> slnn_of net (replace L delta net rs).
Proof.
  revert rs V; induction net as [|g net IH]; intros [|r rs] V H; simpl in *; try contradiction; [constructor|].
  destruct H as [Hg H]; unfold replace in *; destruct g as [W b|l]; simpl.
  - constructor; eapply IH; eauto.
  - destruct Hg as [Hl _]. constructor; [rewrite zip_length, <- Hl, Nat.min_id; auto| |eapply IH; eauto].
    clear. revert r; induction l as [|s l IH]; intros [|i r]; simpl; constructor; auto.
    eexists; apply bernstein_polynomial.
Qed.

(** One layer: a difference of e becomes one of w e, or of delta + L e, at most. *)
Definition grown L w delta g e := match g with Weights _ _ => w * e | Activations _ => delta + L * e end.
Lemma layer_error L w delta g r v vh e : 1 <= L -> 1 <= w -> 0 < delta -> 0 <= e <= 1 ->
  match g with Weights W b => length W = length b | Activations l => length l = length r /\ Forall2 inside r v end ->
  tame_layer L w g r -> length vh = length v -> Forall (within e) (minus vh v) ->
  length (network_layer (replace_layer L delta g r) vh) = length (network_layer g v) /\
  Forall (within (grown L w delta g e)) (minus (network_layer (replace_layer L delta g r) vh) (network_layer g v)).
Proof.
  intros HL Hw Hd He Hg Ht Hl HD. destruct g as [W b|l]; simpl in *.
  - split; [unfold affine; rewrite !zip_length; auto|]. rewrite affine_minus by auto.
    assert (A_holds (length v, e) (minus vh v)) as HA.
    { repeat split; simpl; auto; [|lra]. unfold minus; rewrite zip_length; lia. }
    destruct (A_sound_affine W _ _ HA) as (_ & _ & H); simpl in H.
    eapply Forall_impl; [|exact H]. unfold within, A_affine; simpl; intros d Hb. unfold norm in Ht; simpl in Ht.
    eapply Rle_trans; [exact Hb|]. apply Rmult_le_compat_r; [lra|exact Ht].
  - destruct Hg as [Hlr Hr]. split; [rewrite !zip_length; lia|]. unfold minus in *.
    clear Hlr. revert v vh Hr Hl HD; induction Ht as [|s i l r Hs Ht IH]; intros v vh Hr Hl HD; simpl; [constructor|].
    destruct v as [|z v]; [inversion Hr|]; destruct vh as [|zh vh]; [discriminate|]. simpl in *.
    inversion Hr as [|? ? ? ? Hz Hr']; inversion HD as [|? ? Hd1 HD']; subst. constructor; [|apply IH; auto].
    unfold within, inside in *.
    assert (fst i - 1 <= zh <= snd i + 1) as Hzh.
    { revert Hd1; unfold Rabs; destruct (Rcase_abs (zh - z)); lra. }
    pose proof (replace_neuron_error L delta s i zh Hd Hs Hzh) as H1.
    destruct Hs as [_ Hs]. specialize (Hs zh z Hzh ltac:(lra)).
    replace (replace_neuron L delta s i zh - s z)
      with ((replace_neuron L delta s i zh - s zh) + (s zh - s z)) by ring.
    eapply Rle_trans; [apply Rabs_triang|].
    pose proof (Rmult_le_compat_l L _ _ ltac:(lra) Hd1). lra.
Qed.

(** How many layers are activations, and how many are weights. *)
Definition of_activations (net : list given) := length (filter (fun g => match g with Activations _ => true | _ => false end) net).
Definition of_weights (net : list given) := length (filter (fun g => match g with Weights _ _ => true | _ => false end) net).

Lemma network_error L w delta net : 1 <= L -> 1 <= w -> 0 < delta -> forall rs V e,
  ranges net rs V -> tame L w net rs -> 0 <= e ->
  let E := (e + delta * INR (of_activations net)) * (L ^ of_activations net * w ^ of_weights net) in
  E <= 1 -> forall v vh, V v -> length vh = length v -> Forall (within e) (minus vh v) ->
  Forall (within E) (minus (network (replace L delta net rs) vh) (network net v)).
Proof.
  intros HL Hw Hd. induction net as [|g net IH]; intros rs V e HR HT He E Hb v vh Hv Hl HD.
  - destruct rs; simpl in *; [|contradiction]. eapply Forall_impl; [|exact HD]; unfold within, E; intros; simpl; lra.
  - destruct rs as [|r rs]; simpl in HR; [contradiction|]. destruct HR as [Hg HR].
    inversion HT as [|? ? ? ? Hg' HT']; subst.
    set (q := of_activations net) in *. set (m := of_weights net) in *.
    assert (1 <= L ^ q) as Hq by (apply pow_R1_Rle; auto). assert (1 <= w ^ m) as Hm by (apply pow_R1_Rle; auto).
    pose proof (pos_INR q) as Hi. assert (0 <= delta * INR q) as Hdq by nra.
    assert (0 <= grown L w delta g e /\ e <= 1 /\
      (grown L w delta g e + delta * INR q) * (L ^ q * w ^ m) <= E) as (Hge & He1 & Hstep).
    { assert (1 <= L ^ q * w ^ m) as Hp by nra. set (p := L ^ q * w ^ m) in *.
      unfold E, of_activations, of_weights in *; destruct g; simpl in *; fold (of_activations net) (of_weights net) in *;
        fold q m in Hb |- *.
      - replace (L ^ q * (w * w ^ m)) with (w * p) in * by (unfold p; ring). clearbody p q m.
        assert (e + delta * INR q <= (e + delta * INR q) * (w * p)) by (assert (1 <= w * p) by nra; nra).
        repeat split; [nra|lra|]. rewrite <- Rmult_assoc. apply Rmult_le_compat_r; nra.
      - change (match q with O => 1 | S _ => INR q + 1 end) with (INR (S q)) in *. rewrite S_INR in *.
        replace (L * L ^ q * w ^ m) with (L * p) in * by (unfold p; ring). clearbody p q m.
        assert (0 <= delta * (INR q + 1)) by nra.
        assert (e + delta * (INR q + 1) <= (e + delta * (INR q + 1)) * (L * p)) by (assert (1 <= L * p) by nra; nra).
        repeat split; [nra|lra|]. rewrite <- Rmult_assoc. apply Rmult_le_compat_r; nra. }
    destruct (layer_error L w delta g r v vh e) as [Hl' HD']; auto.
    { destruct g; [exact Hg|]. destruct Hg; auto. }
    eapply Forall_impl; [|apply (IH rs (image g V) (grown L w delta g e) HR HT' Hge ltac:(lra)
      (network_layer g v) (network_layer (replace_layer L delta g r) vh)); auto; exists v; auto].
    unfold within; intros; simpl in *; lra.
Qed.

(** The theorem, with explicit polynomials; q activation layers, of at least one, and m layers of weights. *)
Theorem approximation net rs V L w eps :
  1 <= L -> 1 <= w -> 0 < eps -> ranges net rs V -> tame L w net rs ->
  let q := Nat.max 1 (of_activations net) in
  let delta := Rmin eps 1 / (INR q * (L ^ q * w ^ of_weights net)) in
  slnn_of net (replace L delta net rs) /\
  forall v, V v -> Forall (within eps) (minus (network (replace L delta net rs) v) (network net v)).
Proof.
  intros HL Hw He HR HT q delta. split; [eapply slnn_of_replace; eauto|]. intros v Hv.
  assert (1 <= q /\ of_activations net <= q)%nat as [Hq1 Hq2] by (unfold q; lia).
  assert (0 < INR q) as Hl by (apply lt_0_INR; lia).
  assert (1 <= L ^ q * w ^ of_weights net) as Hp.
  { assert (1 <= L ^ q) by (apply pow_R1_Rle; auto). assert (1 <= w ^ of_weights net) by (apply pow_R1_Rle; auto). nra. }
  assert (0 < Rmin eps 1) as Hm by (apply Rmin_glb_lt; lra).
  assert (0 < delta) as Hd by (unfold delta; apply Rdiv_lt_0_compat; nra).
  pose proof (network_error L w delta net HL Hw Hd rs V 0 HR HT ltac:(lra)) as H. cbv zeta in H.
  set (E := (0 + _) * _) in H.
  assert (E <= Rmin eps 1) as HE.
  { replace (Rmin eps 1) with (delta * INR q * (L ^ q * w ^ of_weights net)) 
      by (unfold delta; clear - Hl Hp; set (p := L ^ q * w ^ of_weights net) in *; clearbody p; field; split; lra).
    unfold E. rewrite Rplus_0_l. apply Rmult_le_compat; [pose proof (pos_INR (of_activations net)); nra| | |].
    - apply Rmult_le_pos; apply pow_le; lra.
    - apply Rmult_le_compat_l; [lra|apply le_INR; auto].
    - apply Rmult_le_compat_r; [apply pow_le; lra|apply Rle_pow; auto]. }
  pose proof (Rmin_l eps 1). pose proof (Rmin_r eps 1). specialize (H ltac:(lra) v v Hv eq_refl).
  eapply Forall_impl; [|apply H].
  - unfold within; intros; lra.
  - unfold minus; clear. induction v; simpl; constructor; auto.
    unfold within; rewrite Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
Qed.

(** ** Ranges and constants exist *)

(** The shapes of a network with k inputs fit. *)
Fixpoint shaped (k : nat) (net : list given) : Prop :=
  match net with
  | [] => True
  | Weights W b :: net' => length W = length b /\ shaped (length W) net'
  | Activations l :: net' => length l = k /\ shaped k net'
  end.
Definition locally_lipschitz (s : R -> R) := forall a b, exists L, lipschitz L a b s.
Definition activations_of g := match g with Weights _ _ => [] | Activations l => l end.
(** The box [-M, M]^k. *)
Definition cube (k : nat) (M : R) (v : list R) := length v = k /\ Forall (within M) v.

Lemma ranges_mono net : forall rs (V V' : list R -> Prop), (forall v, V' v -> V v) -> ranges net rs V -> ranges net rs V'.
Proof.
  induction net as [|g net IH]; intros [|r rs] V V' H HR; simpl in *; auto.
  destruct HR as [Hg HR]; split; [destruct g; [auto|]; destruct Hg; auto|].
  eapply IH; [|exact HR]. intros v (u & Hu & E); exists u; auto.
Qed.
Lemma tame_neurons_mono L L' l r : L <= L' -> Forall2 (tame_neuron L) l r -> Forall2 (tame_neuron L') l r.
Proof.
  intros HL; induction 1 as [|s i l r [H1 H2] H IH]; constructor; auto. split; auto.
  intros u v Hu Hv. eapply Rle_trans; [apply H2; auto|]. apply Rmult_le_compat_r; [apply Rabs_pos|exact HL].
Qed.
Lemma tame_mono L L' w w' net rs : L <= L' -> w <= w' -> tame L w net rs -> tame L' w' net rs.
Proof.
  intros HL Hw H; induction H as [|g r net rs Hg H IH]; constructor; auto.
  destruct g as [W b|l]; simpl in *; [lra|].
  apply (tame_neurons_mono L); auto.
Qed.

Lemma layer_constants l M : 0 <= M -> Forall locally_lipschitz l -> exists L M', 1 <= L /\ 0 <= M' /\
  Forall2 (tame_neuron L) l (repeat (- M, M) (length l)) /\
  forall v, cube (length l) M v -> cube (length l) M' (zip (fun s z => s z) l v).
Proof.
  intros HM; induction 1 as [|s l Hs H (L & M' & HL & HM' & HT & HV)].
  - exists 1, 0. split; [lra|]. split; [lra|]. split; [constructor|].
    intros v [Hv _]; destruct v; [split; [auto|constructor]|discriminate].
  - destruct (Hs (- M - 1) (M + 1)) as [L0 Hs0].
    set (L1 := Rmax L L0). set (M1 := Rmax M' (Rabs (s 0) + L1 * M)).
    assert (L <= L1) by apply Rmax_l. assert (L0 <= L1) by apply Rmax_r.
    assert (M' <= M1) by apply Rmax_l. assert (Rabs (s 0) + L1 * M <= M1) by apply Rmax_r.
    assert (lipschitz L1 (- M - 1) (M + 1) s) as Hs1.
    { intros u v Hu Hv. eapply Rle_trans; [apply Hs0; auto|]. apply Rmult_le_compat_r; [apply Rabs_pos|auto]. }
    exists L1, M1. split; [lra|]. split; [lra|]. split; [simpl|intros v [H4 H5]; split].
    + constructor; [split; simpl; [lra|exact Hs1]|].
      apply (tame_neurons_mono L); auto.
    + rewrite zip_length, H4; simpl; lia.
    + destruct v as [|z v]; [discriminate|]. simpl in *. inversion H5; subst. constructor.
      * unfold within in *. specialize (Hs1 z 0). rewrite Rminus_0_r in Hs1.
        assert (- M - 1 <= z <= M + 1) by (revert H8; unfold Rabs; destruct (Rcase_abs z); lra).
        specialize (Hs1 ltac:(lra) ltac:(lra)). replace (s z) with ((s z - s 0) + s 0) by ring.
        eapply Rle_trans; [apply Rabs_triang|]. assert (L1 * Rabs z <= L1 * M) by nra. lra.
      * eapply Forall_impl; [|apply (HV v); split; auto]. unfold within; intros; lra.
Qed.

Lemma constants net : forall k M, 0 <= M -> shaped k net -> Forall locally_lipschitz (flat_map activations_of net) ->
  exists rs L w, 1 <= L /\ 1 <= w /\ ranges net rs (cube k M) /\ tame L w net rs.
Proof.
  induction net as [|g net IH]; intros k M HM Hk Hs.
  - exists [], 1, 1; simpl; repeat split; try lra; constructor.
  - simpl in Hs; apply Forall_app in Hs as [Hs1 Hs2]. destruct g as [W b|l]; simpl in Hk; destruct Hk as [Hk Hk'].
    + set (M' := norm W * M + greatest reals (map (size reals) b)).
      destruct (greatest_spec (map (fun w => total reals (map (size reals) w)) W)) as [Hg HW]; fold (norm W) in *.
      destruct (greatest_spec (map (size reals) b)) as [Hb Hb'].
      destruct (IH (length W) M') as (rs & L & w & HL & Hw & HR & HT); auto; [unfold M'; nra|].
      exists ([] :: rs), L, (Rmax w (norm W)). pose proof (Rmax_l w (norm W)); pose proof (Rmax_r w (norm W)).
      repeat split; try lra; auto; [|constructor; [simpl; lra|apply (tame_mono L L w); auto; lra]].
      eapply ranges_mono; [|exact HR]. intros v' (v & [Hv1 Hv2] & ->). split; simpl.
      { unfold affine; rewrite zip_length; lia. }
      unfold M', affine; clear - Hk Hv2 HW Hb' HM.
      set (n := norm W) in *; set (g := greatest reals (map (size reals) b)) in *; clearbody n g.
      revert b Hk Hb'; induction W as [|w W IH]; intros [|c b] Hk Hb'; simpl in *; try discriminate; constructor;
        inversion HW; inversion Hb'; subst; [|apply IH; auto].
      unfold within in *. eapply Rle_trans; [apply Rabs_triang|]. rewrite size_abs in *.
      assert (Rabs (dot reals w v) <= total reals (map (size reals) w) * M); [|nra].
      eapply Rle_trans; [apply (dot_within w (repeat M (length v)))|].
      { clear - Hv2; induction Hv2; constructor; auto. }
      apply dot_sizes_total; auto. apply Forall_forall; intros x Hx; apply repeat_spec in Hx; lra.
    + destruct (layer_constants l M HM Hs1) as (L & M' & HL & HM' & HT & HV).
      destruct (IH k M' HM') as (rs & L' & w & HL' & Hw & HR & HT'); auto.
      exists (repeat (- M, M) (length l) :: rs), (Rmax L L'), w.
      pose proof (Rmax_l L L'); pose proof (Rmax_r L L').
      repeat split; try lra; auto.
      * rewrite repeat_length; auto.
      * intros v [Hv1 Hv2]. rewrite Hk, <- Hv1. clear - Hv2.
        induction Hv2 as [|z v Hz H IH]; constructor; auto. unfold inside, within in *; simpl.
        revert Hz; unfold Rabs; destruct (Rcase_abs z); lra.
      * eapply ranges_mono; [|exact HR]. intros v' (v & Hv & ->). rewrite <- Hk in *. apply HV; auto.
      * constructor; [|apply (tame_mono L' _ w w); auto; lra]. simpl.
        apply (tame_neurons_mono L); auto.
Qed.

Lemma box_in_cube (B : box) : exists M, 0 <= M /\ forall v, in_box B v -> cube (length B) M v.
Proof.
  exists (greatest reals (map (fun i => Rabs (fst i) + Rabs (snd i)) B)).
  destruct (greatest_spec (map (fun i => Rabs (fst i) + Rabs (snd i)) B)) as [HM HB]. split; auto.
  set (M := greatest reals _) in *. clearbody M. intros v H.
  induction H as [|i t B v Hi H IH]; [split; [auto|constructor]|]. inversion HB; subst. destruct (IH ltac:(auto)) as [IH1 IH2].
  split; [simpl; congruence|constructor; auto]. unfold within.
  pose proof (Rabs_pos (fst i)); pose proof (Rabs_pos (snd i)).
  pose proof (Rle_abs (snd i)); pose proof (Rle_abs (- fst i)) as P; rewrite Rabs_Ropp in P. apply Rabs_le. lra.
Qed.
(** For every network whose activations are Lipschitz on bounded intervals, every box and every eps there is
    an SLNN with the same weights within eps on the box. *)
Theorem existence net (B : box) eps : shaped (length B) net -> Forall locally_lipschitz (flat_map activations_of net) ->
  0 < eps -> exists net', slnn_of net net' /\
  forall v, in_box B v -> Forall (within eps) (minus (network net' v) (network net v)).
Proof.
  intros Hk Hs He. destruct (box_in_cube B) as (M & HM & HB).
  destruct (constants net (length B) M HM Hk Hs) as (rs & L & w & HL & Hw & HR & HT).
  destruct (approximation net rs (cube (length B) M) L w eps HL Hw He HR HT) as [H1 H2].
  eexists; split; [exact H1|]. intros v Hv; apply H2; auto.
Qed.

(** ** The activations of the library are Lipschitz on bounded intervals *)

Lemma lipschitz_from_derivative (s s' : R -> R) a b K : (forall z, is_derive s z (s' z)) ->
  (forall z, a <= z <= b -> Rabs (s' z) <= K) -> lipschitz K a b s.
Proof.
  intros Hd HK. assert (forall u v, a <= v -> v <= u -> u <= b -> Rabs (s u - s v) <= K * (u - v)) as H.
  { intros u v Hv Huv Hu.
    assert (forall z, v <= z <= u -> - K <= s' z <= K) as HB by (intros z Hz; apply Rabs_le_between, HK; lra).
    pose proof (mean_value_low s s' v u (- K) Huv (fun z _ => Hd z) (fun z Hz => proj1 (HB z Hz))).
    pose proof (mean_value_high s s' v u K Huv (fun z _ => Hd z) (fun z Hz => proj2 (HB z Hz))).
    apply Rabs_le; lra. }
  intros u v Hu Hv. destruct (Rle_dec v u).
  - rewrite (Rabs_right (u - v)) by lra. apply H; lra.
  - rewrite (Rabs_minus_sym u v), (Rabs_right (v - u)), Rabs_minus_sym by lra. apply H; lra.
Qed.

(** Two Lipschitz functions that meet at 0. *)
Lemma lipschitz_glued (f g s : R -> R) K a b : 0 <= K -> lipschitz K (Rmin a 0) (Rmax b 0) f ->
  lipschitz K (Rmin a 0) (Rmax b 0) g ->
  (forall z, z <= 0 -> s z = f z) -> (forall z, 0 <= z -> s z = g z) -> lipschitz K a b s.
Proof.
  intros HK Hf Hg Ef Eg. pose proof (Rmin_l a 0); pose proof (Rmin_r a 0); pose proof (Rmax_l b 0); pose proof (Rmax_r b 0).
  assert (forall u v, a <= u <= b -> a <= v <= b -> u <= 0 <= v -> Rabs (s u - s v) <= K * (v - u)) as H3.
  { intros u v Hu Hv Huv. replace (s u - s v) with ((f u - f 0) + (g 0 - g v))
      by (rewrite (Ef u), (Eg v), <- (Ef 0), <- (Eg 0) by lra; ring).
    eapply Rle_trans; [apply Rabs_triang|].
    specialize (Hf u 0 ltac:(lra) ltac:(lra)). specialize (Hg 0 v ltac:(lra) ltac:(lra)).
    rewrite (Rabs_left1 (u - 0)) in Hf by lra. rewrite (Rabs_left1 (0 - v)) in Hg by lra. lra. }
  intros u v Hu Hv. destruct (Rle_dec 0 u), (Rle_dec 0 v).
  - rewrite !Eg by lra. apply Hg; lra.
  - rewrite Rabs_minus_sym, (Rabs_right (u - v)) by lra. apply H3; lra.
  - rewrite (Rabs_left1 (u - v)) by lra. replace (- (u - v)) with (v - u) by ring. apply H3; lra.
  - rewrite !Ef by lra. apply Hf; lra.
Qed.
Lemma lipschitz_line c a b : lipschitz (Rabs c) a b (fun z => c * z).
Proof. intros u v _ _. replace (c * u - c * v) with (c * (u - v)) by ring. rewrite Rabs_mult; lra. Qed.
Lemma lipschitz_mono L L' a b s : L <= L' -> lipschitz L a b s -> lipschitz L' a b s.
Proof. intros HL H u v Hu Hv. eapply Rle_trans; [apply H; auto|]. apply Rmult_le_compat_r; [apply Rabs_pos|exact HL]. Qed.
Lemma lines_lipschitz (s : R -> R) c d : (forall z, z <= 0 -> s z = c * z) -> (forall z, 0 <= z -> s z = d * z) ->
  locally_lipschitz s.
Proof.
  intros Hc Hd a b. exists (Rabs c + Rabs d). pose proof (Rabs_pos c); pose proof (Rabs_pos d).
  apply (lipschitz_glued (fun z => c * z) (fun z => d * z)); auto; [lra| |];
    (eapply lipschitz_mono; [|apply lipschitz_line]); lra.
Qed.
(** The derivative may grow as |z| does. *)
Lemma locally_lipschitz_from_derivative (s s' : R -> R) : (forall z, is_derive s z (s' z)) ->
  (forall z, Rabs (s' z) <= 1 + Rabs z) -> locally_lipschitz s.
Proof.
  intros Hd Hs a b. exists (1 + (Rabs a + Rabs b)). apply (lipschitz_from_derivative s s'); auto.
  intros z Hz. eapply Rle_trans; [apply Hs|]. apply Rplus_le_compat_l.
  unfold Rabs; repeat destruct (Rcase_abs _); lra.
Qed.

Lemma normal_between z : 0 <= normal z <= 1.
Proof.
  assert (forall x, 0 <= x -> 0 <= area x / root <= / 2) as H.
  { intros x Hx. pose proof root_large. pose proof (area_below x Hx). pose proof (area_growing 0 x Hx) as P; rewrite area_0 in P.
    split; [apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]|].
    apply Rmult_le_reg_r with root; [lra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra. lra. }
  unfold normal. destruct (Rle_dec 0 z) as [Hz|Hz]; [specialize (H z Hz); lra|].
  specialize (H (- z) ltac:(lra)). rewrite area_opp in H. unfold Rdiv in *. rewrite Ropp_mult_distr_l_reverse in H. lra.
Qed.
Lemma normal_density_between z : 0 <= normal_density z <= 1.
Proof.
  unfold normal_density. pose proof root_large. pose proof (bell_pos z).
  assert (bell z <= 1) by (unfold bell; rewrite <- exp_0; apply exp_growing; nra).
  split; [apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]|].
  apply Rmult_le_reg_r with root; [lra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra. lra.
Qed.
Lemma slope_size x y z : 0 <= x <= 1 -> 0 <= y <= 1 -> Rabs (x + z * y) <= 1 + Rabs z.
Proof.
  intros Hx Hy. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, !(Rabs_right x), (Rabs_right y) by lra.
  pose proof (Rabs_pos z). nra.
Qed.
Lemma tanh_lipschitz a b : lipschitz 1 a b tanh.
Proof.
  apply (lipschitz_from_derivative tanh _ a b 1 tanh_derivative). intros z _.
  pose proof (tanh_below_1 z). pose proof (Rle_0_sqr (tanh z)) as Q; unfold Rsqr in Q. apply Rabs_le; lra.
Qed.
Lemma elu_lipschitz c : locally_lipschitz (elu c).
Proof.
  intros a b. exists (Rabs c * exp (Rmax b 0) + 1).
  pose proof (Rabs_pos c). pose proof (exp_pos (Rmax b 0)).
  assert (0 <= Rabs c * exp (Rmax b 0)) by (apply Rmult_le_pos; lra).
  apply (lipschitz_glued (fun z => c * exp z + - c) (fun z => 1 * z)); [lra| | | |].
  - apply (lipschitz_from_derivative _ (fun z => c * exp z + 0)).
    + intros z. apply (sum_derivative (fun z => c * exp z) (fun _ => - c)); [|apply constant_derivative].
      exact (is_derive_scal exp z c _ (is_derive_exp z)).
    + intros z [_ Hz]. rewrite Rplus_0_r, Rabs_mult, (Rabs_right (exp z)) by (pose proof (exp_pos z); lra).
      pose proof (exp_growing z _ Hz). nra.
  - eapply lipschitz_mono; [|apply lipschitz_line]. rewrite Rabs_R1; lra.
  - intros z Hz. unfold elu. destruct (Rle_dec 0 z); [replace z with 0 by lra; rewrite exp_0|]; ring.
  - intros z Hz. unfold elu. destruct (Rle_dec 0 z); [ring|contradiction].
Qed.

Theorem activations_lipschitz f : locally_lipschitz (function f).
Proof.
  destruct (halves f) as [[c d]|] eqn:E.
  { pose proof (halves_spec f c d) as H. apply (lines_lipschitz _ (value c) (value d)); intros z; apply (H z E). }
  destruct f; try discriminate; cbn [function].
  - intros a b; exists 1; intros u v _ _. pose proof (hard_tanh_slopes u v) as H1; pose proof (hard_tanh_slopes v u) as H2.
    rewrite Rmult_1_l. destruct (Rle_dec v u).
    + specialize (H1 ltac:(lra)). rewrite !Rabs_right; lra.
    + specialize (H2 ltac:(lra)). rewrite !Rabs_left1; lra.
  - intros a b; exists 1; apply tanh_lipschitz.
  - intros a b; exists 1; intros u v Hu Hv. rewrite !sigmoid_tanh.
    pose proof (tanh_lipschitz (a / 2) (b / 2) (u / 2) (v / 2) ltac:(lra) ltac:(lra)) as H.
    replace ((1 + tanh (u / 2)) / 2 - (1 + tanh (v / 2)) / 2) with ((tanh (u / 2) - tanh (v / 2)) * / 2) by field.
    replace (u / 2 - v / 2) with ((u - v) * / 2) in H by field.
    rewrite Rabs_mult, (Rabs_right (/ 2)) in * by lra. pose proof (Rabs_pos (u - v)). lra.
  - apply (locally_lipschitz_from_derivative _ _ softplus_derivative). intros z.
    pose proof (sigmoid_between z). pose proof (Rabs_pos z). rewrite Rabs_right; lra.
  - apply elu_lipschitz.
  - apply (locally_lipschitz_from_derivative _ _ silu_derivative). intros z.
    pose proof (sigmoid_between z). apply slope_size; [lra|nra].
  - apply (locally_lipschitz_from_derivative _ _ gelu_derivative). intros z.
    apply slope_size; [apply normal_between|apply normal_density_between].
  - apply (locally_lipschitz_from_derivative _ _ sin_derivative). intros z.
    pose proof (COS_bound z). pose proof (Rabs_pos z). eapply Rle_trans; [apply (Rabs_le _ 1); lra|lra].
Qed.

(** [existence] for networks of these activations, each neuron with its own. *)
Corollary existence_for_activations net (B : box) eps : shaped (length B) net ->
  Forall (fun s => exists f, s = function f) (flat_map activations_of net) -> 0 < eps ->
  exists net', slnn_of net net' /\ forall v, in_box B v -> Forall (within eps) (minus (network net' v) (network net v)).
Proof.
  intros Hk Hs He. apply existence; auto. eapply Forall_impl; [|exact Hs].
  intros s [f ->]; apply activations_lipschitz.
Qed.

(** ** An SLNN is a list of polynomials in its inputs *)

(** Terms, each a coefficient and exponents; one monomial may occur more than once. *)
Definition terms := list (R * list nat).
Definition monomial_value (a : list nat) (v : list R) := fold_right Rmult 1 (zip (fun k z => z ^ k) a v).
Definition terms_value (p : terms) (v : list R) := fold_right (fun t r => fst t * monomial_value (snd t) v + r) 0 p.
(** In n variables, of total degree at most D. *)
Definition terms_of (n D : nat) : terms -> Prop := Forall (fun t => length (snd t) = n /\ (list_sum (snd t) <= D)%nat).
(** F is a list of such polynomials. *)
Definition polynomials (n D : nat) (F : list R -> list R) :=
  exists ps, Forall (terms_of n D) ps /\ forall v, length v = n -> F v = map (fun p => terms_value p v) ps.

(** The activations of each layer have degree at most its d; D is the product of these. *)
Inductive of_degree : list given -> nat -> Prop :=
| of_degree_nil : of_degree [] 1
| of_degree_weights W b net D : of_degree net D -> of_degree (Weights W b :: net) D
| of_degree_activations l d net D : Forall (polynomial d) l -> of_degree net D -> of_degree (Activations l :: net) (d * D).

Definition constant_terms n c : terms := [(c, repeat O n)].
Definition scaled_terms (c : R) : terms -> terms := map (fun t => (c * fst t, snd t)).
Definition product_terms (p q : terms) : terms :=
  flat_map (fun s => map (fun t => (fst s * fst t, zip Nat.add (snd s) (snd t))) q) p.
(** Horner's rule. *)
Definition composed_terms n (c : list R) (p : terms) : terms :=
  fold_right (fun a r => constant_terms n a ++ product_terms p r) [] c.
Fixpoint combined_terms (w : list R) (ps : list terms) : terms :=
  match w, ps with a :: w', p :: ps' => scaled_terms a p ++ combined_terms w' ps' | _, _ => [] end.
Fixpoint variables n : list terms :=
  match n with
  | O => []
  | S n' => [(1, 1%nat :: repeat O n')] :: map (map (fun t => (fst t, O :: snd t))) (variables n')
  end.

Lemma terms_value_app p q v : terms_value (p ++ q) v = terms_value p v + terms_value q v.
Proof. unfold terms_value; induction p as [|t p IH]; simpl; [ring|]. rewrite IH; ring. Qed.
Lemma terms_value_scaled c p v : terms_value (scaled_terms c p) v = c * terms_value p v.
Proof. unfold terms_value; induction p as [|t p IH]; simpl; [ring|]. rewrite IH; ring. Qed.
Lemma monomial_value_repeat v : forall n, monomial_value (repeat O n) v = 1.
Proof. unfold monomial_value; induction v as [|z v IH]; intros [|n]; simpl; auto. rewrite IH; ring. Qed.
Lemma terms_value_constant n c v : terms_value (constant_terms n c) v = c.
Proof. unfold terms_value; simpl. rewrite monomial_value_repeat; ring. Qed.
Lemma monomial_value_product v : forall a b, length a = length v -> length b = length v ->
  monomial_value (zip Nat.add a b) v = monomial_value a v * monomial_value b v.
Proof.
  unfold monomial_value; induction v as [|z v IH]; intros [|i a] [|j b] Ha Hb; simpl in *; try discriminate; [ring|].
  rewrite IH, pow_add by lia. ring.
Qed.
Lemma terms_value_cons t p v : terms_value (t :: p) v = fst t * monomial_value (snd t) v + terms_value p v.
Proof. reflexivity. Qed.
Lemma terms_value_product n D E p q v : terms_of n D p -> terms_of n E q -> length v = n ->
  terms_value (product_terms p q) v = terms_value p v * terms_value q v.
Proof.
  intros Hp Hq Hv. induction Hp as [|s p [Hs _] Hp IH]; [unfold terms_value; simpl; ring|].
  unfold product_terms in *; cbn [flat_map]. rewrite terms_value_app, IH, terms_value_cons, Rmult_plus_distr_r. f_equal.
  clear IH; induction Hq as [|t q [Ht _] Hq IH]; [unfold terms_value; simpl; ring|].
  cbn [map]. rewrite !terms_value_cons, IH; cbn [fst snd]. rewrite monomial_value_product by congruence. ring.
Qed.
Lemma terms_of_constant n D c : terms_of n D (constant_terms n c).
Proof. constructor; [split; [apply repeat_length|]|constructor]. simpl; induction n; simpl; lia. Qed.
Lemma list_sum_zip a : forall b, length a = length b -> list_sum (zip Nat.add a b) = (list_sum a + list_sum b)%nat.
Proof. induction a as [|i a IH]; intros [|j b] H; simpl in *; try discriminate; auto. rewrite IH; lia. Qed.
Lemma terms_of_product n D E p q : terms_of n D p -> terms_of n E q -> terms_of n (D + E) (product_terms p q).
Proof.
  intros Hp Hq; induction Hp as [|s p [Hs1 Hs2] Hp IH]; [constructor|].
  apply Forall_app; split; [|exact IH]. apply Forall_map. eapply Forall_impl; [|exact Hq].
  intros t [Ht1 Ht2]; cbn [fst snd]. rewrite zip_length, list_sum_zip by congruence. lia.
Qed.
Lemma terms_of_composed n D p : terms_of n D p -> forall c d, (length c <= S d)%nat -> terms_of n (d * D) (composed_terms n c p).
Proof.
  intros Hp; induction c as [|a c IH]; intros d Hd; [constructor|].
  apply Forall_app; split; [apply terms_of_constant|]. simpl in Hd.
  destruct c as [|a' c]; [clear; induction p; [constructor|exact IHp]|].
  destruct d as [|d]; [simpl in Hd; lia|]. apply (terms_of_product n D (d * D)); [exact Hp|apply IH; simpl in *; lia].
Qed.
Lemma terms_value_composed n D p v : terms_of n D p -> length v = n -> forall c,
  terms_value (composed_terms n c p) v = fold_right (fun a r => a + terms_value p v * r) 0 c.
Proof.
  intros Hp Hv; induction c as [|a c IH]; [reflexivity|].
  unfold composed_terms in *; cbn [fold_right]. rewrite terms_value_app, terms_value_constant, <- IH. f_equal.
  apply (terms_value_product n D (length c * D)); auto. apply terms_of_composed; auto.
Qed.

(** Each layer takes such lists to such lists. *)
Lemma polynomials_inputs n : polynomials n 1 (fun v => v).
Proof.
  exists (variables n); split.
  - induction n as [|n IH]; simpl; constructor.
    + constructor; [|constructor]. simpl; rewrite repeat_length; split; auto.
      pose proof (terms_of_constant n 0 0) as H; inversion H as [|? ? [_ Hz]]; simpl in Hz. lia.
    + apply Forall_map; eapply Forall_impl; [|exact IH]. intros p Hp. apply Forall_map; eapply Forall_impl; [|exact Hp].
      intros t [Ht1 Ht2]; simpl; split; auto.
  - induction n as [|n IH]; intros [|z v] Hv; try discriminate; [reflexivity|]. simpl in *. f_equal.
    + unfold monomial_value; simpl; fold (monomial_value (repeat O n) v). rewrite monomial_value_repeat; ring.
    + rewrite map_map. rewrite (IH v) at 1 by lia. apply map_ext; intros p.
      induction p as [|t p IHp]; [reflexivity|]. cbn [map]. rewrite !terms_value_cons, IHp; cbn [fst snd].
      unfold monomial_value; simpl; ring.
Qed.
Lemma polynomials_weights n D W b F : polynomials n D F -> polynomials n D (fun v => affine reals W b (F v)).
Proof.
  intros (ps & Hps & E). exists (zip (fun w c => combined_terms w ps ++ constant_terms n c) W b).
  assert (forall w, terms_of n D (combined_terms w ps)) as Hc.
  { clear E; induction Hps as [|p ps Hp Hps IH]; intros [|a w]; try constructor.
    apply Forall_app; split; [|apply IH]. apply Forall_map; eapply Forall_impl; [|exact Hp]; auto. }
  assert (forall w v, terms_value (combined_terms w ps) v = dot reals w (map (fun p => terms_value p v) ps)) as Ec.
  { clear; induction ps as [|p ps IH]; intros [|a w] v; try reflexivity. simpl.
    rewrite terms_value_app, terms_value_scaled, IH; reflexivity. }
  split.
  - revert b; induction W as [|w W IH]; intros [|c b]; simpl; constructor; auto.
    apply Forall_app; split; [apply Hc|apply terms_of_constant].
  - intros v Hv; rewrite (E v Hv); unfold affine. revert b; induction W as [|w W IH]; intros [|c b]; simpl; auto.
    rewrite IH, terms_value_app, terms_value_constant, Ec; reflexivity.
Qed.
Lemma polynomials_activations n d D l F : Forall (polynomial d) l -> polynomials n D F ->
  polynomials n (d * D) (fun v => zip (fun s z => s z) l (F v)).
Proof.
  intros Hl (ps & Hps & E).
  assert (exists qs, Forall (terms_of n (d * D)) qs /\ forall v, length v = n ->
    zip (fun s z => s z) l (map (fun p => terms_value p v) ps) = map (fun q => terms_value q v) qs) as (qs & Hqs & Eq).
  { clear E; revert ps Hps; induction Hl as [|s l (c & Hc & Es) Hl IH]; intros ps Hps; [exists []; split; auto|].
    destruct Hps as [|p ps Hp Hps]; [exists []; split; auto|]. destruct (IH ps Hps) as (qs & Hqs & Eq).
    exists (composed_terms n c p :: qs); split; [constructor; [apply terms_of_composed|]; auto|].
    intros v Hv; simpl. rewrite Eq, Es, (terms_value_composed n D); auto. }
  exists qs; split; auto. intros v Hv; rewrite E; auto.
Qed.

(** Every output is one polynomial in the inputs, of total degree at most the product of the degrees. *)
Theorem outputs_are_polynomials net D n : of_degree net D -> polynomials n D (network net).
Proof.
  intros H. enough (forall E F, polynomials n E F -> polynomials n (E * D) (fun v => network net (F v))) as HN.
  { specialize (HN 1%nat _ (polynomials_inputs n)). rewrite Nat.mul_1_l in HN; exact HN. }
  induction H as [|W b net D H IH|l d net D Hl H IH]; intros E F HF; cbn [network fold_left].
  - rewrite Nat.mul_1_r; exact HF.
  - apply (IH E), (polynomials_weights n E W b F HF).
  - replace (E * (d * D))%nat with (d * E * D)%nat by ring.
    apply (IH (d * E)%nat), (polynomials_activations n d E l F Hl HF).
Qed.

Lemma polynomial_mono n m f : (n <= m)%nat -> polynomial n f -> polynomial m f.
Proof. intros H (c & Hc & E); exists c; split; auto; lia. Qed.
Lemma slnn_of_degree net net' : slnn_of net net' -> exists D, of_degree net' D.
Proof.
  induction 1 as [|W b net net' H [D HD]|l l' net net' Hl Hp H [D HD]].
  - exists 1%nat; constructor.
  - exists D; constructor; auto.
  - assert (exists d, Forall (polynomial d) l') as [d Hd].
    { clear Hl; induction Hp as [|p l' [m Hm] Hp [d Hd]]; [exists O; constructor|].
      exists (Nat.max m d); constructor; [apply (polynomial_mono m); auto; lia|].
      eapply Forall_impl; [|exact Hd]. intros q; apply polynomial_mono; lia. }
    exists (d * D)%nat; constructor; auto.
Qed.
Lemma slnn_of_length net net' : slnn_of net net' -> forall v v', length v = length v' ->
  length (network net' v') = length (network net v).
Proof.
  induction 1 as [|W b net net' H IH|l l' net net' Hl Hp H IH]; intros v v' E; cbn [network fold_left]; auto;
    apply IH; simpl; unfold affine; rewrite !zip_length; lia.
Qed.

(** [existence], and what the SLNN computes: a list of polynomials, each within eps of its output on the box. *)
Corollary existence_of_polynomials net (B : box) eps : shaped (length B) net ->
  Forall locally_lipschitz (flat_map activations_of net) -> 0 < eps ->
  exists net' D ps, slnn_of net net' /\ of_degree net' D /\ Forall (terms_of (length B) D) ps /\ forall v, in_box B v ->
    network net' v = map (fun p => terms_value p v) ps /\
    Forall2 (fun p y => Rabs (terms_value p v - y) <= eps) ps (network net v).
Proof.
  intros Hk Hs He. destruct (existence net B eps Hk Hs He) as (net' & H1 & H2). destruct (slnn_of_degree net net' H1) as [D HD].
  destruct (outputs_are_polynomials net' D (length B) HD) as (ps & Hps & E).
  destruct (box_in_cube B) as (M & _ & HB).
  exists net', D, ps; repeat split; auto; specialize (E v (proj1 (HB v H))); auto.
  specialize (H2 v H). pose proof (slnn_of_length net net' H1 v v eq_refl) as HL.
  rewrite E in H2, HL. revert H2 HL; generalize (network net v) as ys. unfold minus.
  clear; induction ps as [|p ps IH]; intros [|y ys] H HL; simpl in *; try discriminate; constructor; inversion H; auto.
Qed.
