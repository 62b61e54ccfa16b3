(** * Linear forms with a number beside them

    A number v is known as  constant + sum_k along_k eta_k,  and at most [beside] beside it, with numbers
    |eta_k| <= 1 that several forms share ([near]).  Sums and multiples of forms are such ([near_plus],
    [near_scale]); so are rows of an affine layer, where what is beside each form becomes a number eta of its
    own ([fresh_symbols]). *)

From Coq Require Import Reals ZArith Lra Lia Psatz Bool.
From Coquelicot Require Import Rcomplements.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Smooth.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** Intervals *)

Definition meet (x y : dyadic * dyadic) : dyadic * dyadic := (dmax (fst x) (fst y), dmin (snd x) (snd y)).
Definition inside (i : dyadic * dyadic) (z : R) := value (fst i) <= z <= value (snd i).
Definition sum_of (x y : dyadic * dyadic) : dyadic * dyadic := (dadd (fst x) (fst y), dadd (snd x) (snd y)).
Definition magnitude_of (i : dyadic * dyadic) := dmax (size dyadics (fst i)) (size dyadics (snd i)).


Lemma dmax_cases x y : value (dmax x y) = value x \/ value (dmax x y) = value y.
Proof. unfold dmax; rewrite value_maximum. apply maximum_spec. Qed.
Lemma dmin_cases x y : value (dmin x y) = value x \/ value (dmin x y) = value y.
Proof. unfold dmin; rewrite value_minimum. apply minimum_spec. Qed.
Lemma meet_spec x y z : inside x z -> inside y z -> inside (meet x y) z.
Proof.
  unfold inside, meet; cbn [fst snd]; intros H1 H2.
  destruct (dmax_cases (fst x) (fst y)) as [-> | ->], (dmin_cases (snd x) (snd y)) as [-> | ->]; lra.
Qed.
Lemma sum_spec x y z d zh : inside x z -> inside y d -> zh = z + d -> inside (sum_of x y) zh.
Proof. unfold inside, sum_of; cbn [fst snd]; rewrite !value_add; intros; lra. Qed.
Lemma magnitude_spec i z : inside i z -> Rabs z <= value (magnitude_of i).
Proof.
  unfold inside, magnitude_of; intros H. destruct (dmax_spec (size dyadics (fst i)) (size dyadics (snd i))) as [H1 H2].
  rewrite !value_size, !size_abs in *. revert H1 H2. set (m := value (dmax _ _)); clearbody m.
  unfold Rabs; repeat destruct (Rcase_abs _); lra.
Qed.

(** ** Forms *)

(** constant + along . eta, and at most [beside] beside it. *)
Record linear := Linear { constant : dyadic; along : list dyadic; beside : dyadic }.
Definition near (eta : list R) (t : linear) (v : R) :=
  Rabs (v - (value (constant t) + dot reals (values (along t)) eta)) <= value (beside t).

Definition sizes (t : linear) := joint dyadics (along t, beside t).
Definition range (t : linear) : dyadic * dyadic := (dsub (constant t) (sizes t), dadd (constant t) (sizes t)).
Definition lscale (a : dyadic) (t : linear) : linear :=
  Linear (dmul a (constant t)) (map (dmul a) (along t)) (dmul (size dyadics a) (beside t)).
Definition lplus (t u : linear) : linear :=
  Linear (dadd (constant t) (constant u)) (plus dyadics (along t) (along u)) (dadd (beside t) (beside u)).
Definition moved (c r : dyadic) (t : linear) : linear := Linear (dadd (constant t) c) (along t) (dadd (beside t) r).
(** Coefficients that are multiples of 2^g. *)
Definition trimmed (g : Z) (t : linear) : linear :=
  Linear (floor g (constant t)) (map (floor g) (along t))
    (ceiling g (dadd (beside t) (Dyadic (Z.of_nat (S (length (along t)))) g))).

Lemma range_spec eta t v : Forall (within 1) eta -> near eta t v -> value (fst (range t)) <= v <= value (snd (range t)).
Proof.
  intros He H. unfold range; cbn [fst snd]. rewrite value_sub, value_add. unfold sizes. rewrite value_joint.
  pose proof (joint_spec eta (form_value (along t, beside t)) (v - value (constant t)) He) as P.
  assert (is_form eta (form_value (along t, beside t)) (v - value (constant t))) as F.
  { unfold is_form, form_value; cbn [fst snd]. unfold near in H.
    replace (v - value (constant t) - dot reals (values (along t)) eta)
      with (v - (value (constant t) + dot reals (values (along t)) eta)) by ring. exact H. }
  specialize (P F). apply Rabs_le_between in P. lra.
Qed.
Lemma near_scale eta a t v : near eta t v -> near eta (lscale a t) (value a * v).
Proof.
  unfold near, lscale; cbn [constant along beside]. intros H. rewrite values_mul, dot_scale, !value_mul, value_size, size_abs.
  match goal with |- Rabs ?x <= _ => replace x with (value a * (v - (value (constant t) + dot reals (values (along t)) eta))) by ring end.
  rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|exact H].
Qed.
Lemma near_plus eta t u v w : near eta t v -> near eta u w -> near eta (lplus t u) (v + w).
Proof.
  unfold near, lplus; cbn [constant along beside]. intros H1 H2. rewrite values_plus, dot_plus, !value_add.
  match goal with |- Rabs ?x <= _ => replace x with ((v - (value (constant t) + dot reals (values (along t)) eta)) +
    (w - (value (constant u) + dot reals (values (along u)) eta))) by ring end.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma near_moved eta c r t v w : near eta t v -> Rabs (w - (v + value c)) <= value r -> near eta (moved c r t) w.
Proof.
  unfold near, moved; cbn [constant along beside]. intros H1 H2. rewrite !value_add.
  match goal with |- Rabs ?x <= _ => replace x with ((v - (value (constant t) + dot reals (values (along t)) eta)) +
    (w - (v + value c))) by ring end.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma floor_near g a : Rabs (value a - value (floor g a)) <= bpow radix2 g.
Proof.
  pose proof (floor_spec g a) as H. replace (value (unit g)) with (bpow radix2 g) in H by (unfold value; simpl; ring).
  apply Rabs_le; lra.
Qed.
Lemma near_trimmed g eta t v : Forall (within 1) eta -> near eta t v -> near eta (trimmed g t) v.
Proof.
  unfold near, trimmed; cbn [constant along beside]. intros He H.
  eapply Rle_trans; [|apply ceiling_spec]. rewrite value_add.
  assert (Rabs (dot reals (values (along t)) eta - dot reals (values (map (floor g) (along t))) eta)
    <= INR (length (along t)) * bpow radix2 g) as P.
  { clear H. pose proof (bpow_gt_0 radix2 g) as Hg. revert He. generalize eta as e. generalize (along t) as r.
    induction r as [|a r IH]; intros e He; cbn [map dot length].
    - simpl. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. lra.
    - rewrite S_INR. pose proof (pos_INR (length r)). destruct He as [|x e Hx He]; cbn [add mul reals].
      + simpl. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. nra.
      + specialize (IH e He). pose proof (floor_near g a) as Ha.
        match goal with |- Rabs ?y <= _ => replace y with ((value a - value (floor g a)) * x +
          (dot reals (values r) e - dot reals (values (map (floor g) r)) e)) by (simpl; ring) end.
        eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult.
        unfold within in Hx. pose proof (Rabs_pos (value a - value (floor g a))). pose proof (Rabs_pos x). nra. }
  pose proof (floor_near g (constant t)) as Pc.
  assert (value (Dyadic (Z.of_nat (S (length (along t)))) g) = (INR (length (along t)) + 1) * bpow radix2 g) as ->.
  { unfold value; cbn [mantissa exponent]. rewrite <- INR_IZR_INZ, S_INR. reflexivity. }
  match goal with |- Rabs ?y <= _ => replace y with ((v - (value (constant t) + dot reals (values (along t)) eta)) +
    ((value (constant t) - value (floor g (constant t))) +
     (dot reals (values (along t)) eta - dot reals (values (map (floor g) (along t))) eta))) by ring end.
  eapply Rle_trans; [apply Rabs_triang|].
  eapply Rle_trans; [apply Rplus_le_compat_l, Rabs_triang|]. lra.
Qed.

(** ** Through an affine layer *)

(** The row w of the layer; [before] and [behind] numbers eta are those of other forms. *)
Definition mapped (ts : list linear) (before behind : nat) (w : list dyadic) (c : dyadic) : linear :=
  Linear (dadd (dot dyadics w (map constant ts)) c)
    (repeat d0 before ++ products dyadics w (map beside ts) ++ repeat d0 behind ++ combine_rows dyadics w (map along ts)) d0.

Lemma products_dyadic w own : length (products dyadics w own) = length own.
Proof. revert w; induction own as [|o own IH]; intros [|a w]; simpl; auto. Qed.
Lemma dot_zeros k x eta eta' : length eta = k ->
  dot reals (values (repeat d0 k) ++ x) (eta ++ eta') = dot reals x eta'.
Proof.
  intros <-. induction eta as [|t eta IH]; cbn [length repeat map app dot]; auto.
  rewrite IH, value_0. simpl; ring.
Qed.
Lemma fresh_symbols eta ts v : Forall2 (near eta) ts v ->
  exists fresh, Forall (within 1) fresh /\ length fresh = length ts /\ forall w,
  dot reals (values w) v = value (dot dyadics w (map constant ts)) +
    dot reals (values (products dyadics w (map beside ts))) fresh + dot reals (values (combine_rows dyadics w (map along ts))) eta.
Proof.
  intros H. set (T := map (fun t => (values (along t), value (beside t))) ts).
  set (D := zip (fun t x => x - value (constant t)) ts v).
  assert (Forall2 (is_form eta) T D) as F.
  { unfold T, D; clear T D. induction H as [|t x ts v Ht H IH]; cbn [map zip]; constructor; auto.
    unfold is_form; cbn [fst snd]. unfold near in Ht.
    replace (x - value (constant t) - dot reals (values (along t)) eta)
      with (x - (value (constant t) + dot reals (values (along t)) eta)) by ring. exact Ht. }
  destruct (new_symbols eta T D F) as (fresh & F1 & F2 & F3).
  exists fresh; split; [|split]; auto; [unfold T in F2; rewrite map_length in F2; auto|].
  intros w. rewrite values_combine, dot_combine, values_products, value_dot.
  specialize (F3 (values w)).
  replace (map snd T) with (values (map beside ts)) in F3 by (unfold T; rewrite !map_map; reflexivity).
  replace (map fst T) with (map values (map along ts)) in F3 by (unfold T; rewrite !map_map; reflexivity).
  rewrite Rplus_assoc, <- F3. unfold D. clear - H. revert w.
  induction H as [|t x ts v Ht H IH]; intros [|a w]; cbn [map zip dot]; rewrite ?Rplus_0_r; auto.
  rewrite IH. simpl; ring.
Qed.

Lemma dot_app4 k x k' y fresh fresh' fresh'' eta : length x = length fresh' -> length fresh = k -> length fresh'' = k' ->
  dot reals (values (repeat d0 k ++ x ++ repeat d0 k' ++ y)) (fresh ++ fresh' ++ fresh'' ++ eta) =
  dot reals (values x) fresh' + dot reals (values y) eta.
Proof.
  intros E1 E2 E3. rewrite !map_app, dot_zeros by auto. rewrite dot_app by (rewrite map_length; auto).
  rewrite dot_zeros by auto. reflexivity.
Qed.
