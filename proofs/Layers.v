(** * The layers of an SLNN with composite blocks

    In the place of an activation layer an SLNN may have several, a span: affine maps, and a polynomial for each
    number.  What they make of one neuron is found from the last layer back, as [part]: of an affine map the rows that
    are wanted and, of these, the columns that are not 0; of polynomials the ones that are wanted.

    THEOREM (layers_spec).  Let g_1, ..., g_m be the layers of a span behind n neurons, and B_i the composition of
    their parts that make number i.  If B_i takes in v_i alone, or nothing, then

        (g_m o ... o g_1)(v)_i = B_i(v_i)    for every v in R^n,

    so the SLNN by its layers ([layers_value]) has the values that it has neuron by neuron ([filled]). *)

From Coq Require Import Reals ZArith List Lra Lia Bool.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Activations Composite Checker.
Import ListNotations.
Open Scope R_scope.

Definition span_value (span : list composite_step) (v : list R) : list R := fold_left (fun v s => step_value s v) span v.

(** ** Parts *)

Definition select {A} (d : A) (J : list nat) (v : list A) : list A := map (fun j => nth j v d) J.
Definition used (rows : list (list dyadic)) : list nat :=
  filter (fun j => existsb (fun r => negb (mantissa (nth j r d0) =? 0)%Z) rows) (seq 0 (fold_right Nat.max 0%nat (map (@length _) rows))).
Definition no_stage := Stage d0 d0 [] [].
Definition restrict (s : composite_step) (K : list nat) : list nat * composite_step :=
  match s with
  | Combine W b =>
      let rows := select [] K W in let J := used rows in (J, Combine (map (select d0 J) rows) (select d0 K b))
  | Apply l => (K, Apply (select no_stage K l))
  end.
Fixpoint part (span : list composite_step) (K : list nat) : list nat * list composite_step :=
  match span with
  | [] => (K, [])
  | s :: span' => let (J, steps) := part span' K in let (J', s') := restrict s J in (J', s' :: steps)
  end.
(** How many numbers leave the span, if so many fit as arrive. *)
Fixpoint width_behind (n : nat) (span : list composite_step) : option nat :=
  match span with
  | [] => Some n
  | Combine W b :: span' => if (length W =? length b)%nat then width_behind (length W) span' else None
  | Apply l :: span' => if (length l =? n)%nat then width_behind n span' else None
  end.

Fixpoint sum (l : list R) : R := match l with [] => 0 | x :: l' => x + sum l' end.
Lemma sum_filter (f : nat -> R) (keep : nat -> bool) J : (forall j, In j J -> keep j = false -> f j = 0) ->
  sum (map f (filter keep J)) = sum (map f J).
Proof.
  induction J as [|j J IH]; intros H; cbn [filter map sum]; [reflexivity|].
  assert (sum (map f (filter keep J)) = sum (map f J)) as E by (apply IH; intros; apply H; auto; right; auto).
  destruct (keep j) eqn:Ek; cbn [map sum]; rewrite E; [reflexivity|]. rewrite (H j); [ring|left; reflexivity|exact Ek].
Qed.
Lemma sum_zero (f : nat -> R) J : (forall j, f j = 0) -> sum (map f J) = 0.
Proof. intros H; induction J as [|j J IH]; cbn [map sum]; [reflexivity|]. rewrite H, IH; ring. Qed.
Lemma dot_sum w : forall v n, (length w <= n)%nat ->
  dot reals (values w) v = sum (map (fun j => value (nth j w d0) * nth j v 0) (seq 0 n)).
Proof.
  induction w as [|a w IH]; intros [|x v] n Hn; cbn [map dot];
    try (symmetry; apply sum_zero; intros j; destruct j; cbn [nth]; rewrite ?value_0; ring).
  destruct n as [|n]; [simpl in Hn; lia|]. cbn [seq map sum nth]. rewrite <- seq_shift, map_map. cbn [add mul reals].
  rewrite (IH v n) by (simpl in Hn; lia). reflexivity.
Qed.
Lemma dot_select w v J : dot reals (values (select d0 J w)) (select 0 J v) = sum (map (fun j => value (nth j w d0) * nth j v 0) J).
Proof. induction J as [|j J IH]; cbn [select map dot sum]; [reflexivity|]. fold (select d0 J w) (select 0 J v). rewrite IH. reflexivity. Qed.
Lemma dot_used rows w v : In w rows ->
  dot reals (values (select d0 (used rows) w)) (select 0 (used rows) v) = dot reals (values w) v.
Proof.
  intros Hw. rewrite dot_select. unfold used. set (n := fold_right Nat.max 0%nat (map (@length _) rows)).
  rewrite (dot_sum w v n).
  - apply sum_filter. intros j _ H. assert (mantissa (nth j w d0) = 0)%Z as E.
    { apply Z.eqb_eq. destruct (mantissa (nth j w d0) =? 0)%Z eqn:E; [reflexivity|].
      rewrite <- H. apply existsb_exists. exists w; rewrite E; auto. }
    unfold value; rewrite E. ring.
  - unfold n; clear n. induction rows as [|r rows IH]; [contradiction|]. cbn [map fold_right].
    destruct Hw as [->|Hw]; [lia|]. specialize (IH Hw). lia.
Qed.
Lemma nth_zip {A B C} (f : A -> B -> C) l v k a b c : (k < length l)%nat -> (k < length v)%nat ->
  nth k (zip f l v) c = f (nth k l a) (nth k v b).
Proof.
  revert v k; induction l as [|x l IH]; intros [|y v] [|k] H1 H2; simpl in *; try lia; auto. apply IH; lia.
Qed.
Lemma nth_beyond_zip {A B C} (f : A -> B -> C) l v k c : (length l <= k)%nat -> nth k (zip f l v) c = c.
Proof. intros H; apply nth_overflow. rewrite zip_length. lia. Qed.

Lemma restrict_spec s K v n : length v = n -> width_behind n [s] <> None ->
  step_value (snd (restrict s K)) (select 0 (fst (restrict s K)) v) = select 0 K (step_value s v).
Proof.
  intros Hv HW. destruct s as [W b|l]; cbn [restrict fst snd step_value width_behind] in *.
  - destruct (Nat.eqb_spec (length W) (length b)) as [E|]; [|contradiction].
    set (J := used (select [] K W)).
    assert (forall k, In k K -> dot reals (values (select d0 J (nth k W []))) (select 0 J v) = dot reals (values (nth k W [])) v) as H.
    { intros k Hk; apply dot_used. unfold select; apply (in_map (fun j => nth j W []) K k Hk). }
    clearbody J. unfold affine. induction K as [|k K IH]; cbn [select map zip]; [reflexivity|].
    fold (select [] K W) (select d0 K b) in *. f_equal; [|apply IH; intros; apply H; right; auto].
    rewrite H by (left; auto). destruct (Nat.lt_ge_cases k (length W)) as [L|L].
    + rewrite (nth_zip _ _ _ k (values []) (value d0)) by (rewrite map_length; lia). rewrite !map_nth. reflexivity.
    + rewrite nth_beyond_zip by (rewrite map_length; lia). rewrite !nth_overflow by lia. cbn. rewrite value_0. ring.
  - destruct (Nat.eqb_spec (length l) n) as [E|]; [|contradiction].
    induction K as [|k K IH]; cbn [select map zip]; [reflexivity|]. f_equal; [|exact IH].
    destruct (Nat.lt_ge_cases k (length l)) as [L|L].
    + rewrite (nth_zip _ _ _ k no_stage 0) by lia. reflexivity.
    + rewrite nth_beyond_zip by lia. rewrite (nth_overflow l) by lia. reflexivity.
Qed.
Lemma step_length s v n m : length v = n -> width_behind n [s] = Some m -> length (step_value s v) = m.
Proof.
  intros Hv; destruct s as [W b|l]; cbn [width_behind step_value].
  - destruct (Nat.eqb_spec (length W) (length b)) as [E|]; [|discriminate]. intros H; injection H as <-.
    unfold affine; rewrite zip_length, !map_length. lia.
  - destruct (Nat.eqb_spec (length l) n) as [E|]; [|discriminate]. intros H; injection H as <-. rewrite zip_length; lia.
Qed.
Lemma width_first s span n : width_behind n (s :: span) = match width_behind n [s] with Some m => width_behind m span | None => None end.
Proof. destruct s; cbn [width_behind]; destruct (_ =? _)%nat; reflexivity. Qed.
Lemma part_spec span K : forall n v, length v = n -> width_behind n span <> None ->
  span_value (snd (part span K)) (select 0 (fst (part span K)) v) = select 0 K (span_value span v).
Proof.
  unfold span_value. induction span as [|s span IH]; intros n v Hv HW; [reflexivity|]. cbn [part].
  rewrite width_first in HW. destruct (width_behind n [s]) as [m|] eqn:E; [|contradiction].
  specialize (IH m (step_value s v) (step_length s v n m Hv E) HW).
  destruct (part span K) as [J steps]; cbn [fst snd] in IH.
  pose proof (restrict_spec s J v n Hv ltac:(rewrite E; discriminate)) as R. destruct (restrict s J) as [J' s'].
  cbn [fst snd fold_left] in *. rewrite R. exact IH.
Qed.
(** A part that takes in nothing is the same for every number. *)
Lemma part_of_nothing span i v : fst (part span [i]) = [] ->
  span_value (snd (part span [i])) v = span_value (snd (part span [i])) [].
Proof.
  destruct span as [|s span]; [discriminate|]. cbn [part]. destruct (part span [i]) as [J steps].
  assert (fst (restrict s J) = [] -> step_value (snd (restrict s J)) v = step_value (snd (restrict s J)) []) as R.
  { destruct s as [W b|l]; cbn [restrict fst snd step_value]; [|intros ->; reflexivity].
    intros ->. unfold affine. induction J as [|k J IH]; cbn [select map zip]; [reflexivity|]. f_equal. exact IH. }
  destruct (restrict s J) as [J' s']; cbn [fst snd] in *. intros E. unfold span_value; cbn [fold_left]. rewrite (R E). reflexivity.
Qed.
Lemma span_length span : forall n m v, length v = n -> width_behind n span = Some m -> length (span_value span v) = m.
Proof.
  unfold span_value. induction span as [|s span IH]; intros n m v Hv; [cbn; congruence|]. rewrite width_first.
  destruct (width_behind n [s]) as [k|] eqn:E; [|discriminate]. apply IH. exact (step_length s v n k Hv E).
Qed.

(** ** Parts that are one polynomial *)

Definition same (x y : dyadic) : bool := (mantissa (dsub x y) =? 0)%Z.
Definition is_identity (st : stage) : bool :=
  match in_powers st with [a; b] => andb (same (dmul (factor st) b) d1) (same a (middle_ st)) | _ => false end.
Definition unchanging (s : composite_step) : bool :=
  match s with Combine [[w]] [b] => andb (same w d1) (same b d0) | Apply [st] => is_identity st | _ => false end.
Definition same_stage (st p : stage) : bool :=
  andb (andb (same (middle_ st) (middle_ p)) (same (factor st) (factor p)))
    (forallb (fun a => mantissa a =? 0)%Z (plus dyadics (in_powers st) (map dopp (in_powers p)))).
Fixpoint single (p : stage) (steps : list composite_step) : bool :=
  match steps with
  | [] => is_identity p
  | s :: steps' =>
      if unchanging s then single p steps' else
      match s with Apply [st] => andb (same_stage st p) (forallb unchanging steps') | _ => false end
  end.

Lemma value_no_mantissa x : mantissa x = 0%Z -> value x = 0.
Proof. intros E; unfold value; rewrite E; ring. Qed.
Lemma same_spec x y : same x y = true -> value x = value y.
Proof. intros H. apply Z.eqb_eq, value_no_mantissa in H. rewrite value_sub in H. lra. Qed.
Lemma is_identity_spec st z : is_identity st = true -> stage_value st z = z.
Proof.
  unfold is_identity, stage_value. destruct (in_powers st) as [|a [|b [|]]]; try discriminate.
  intros H; apply andb_prop in H as [H1 H2]. apply same_spec in H1, H2. rewrite value_mul, value_1 in H1.
  rewrite !dpoly_cons, H2. change (dpoly [] _) with 0.
  replace (value (middle_ st) + _) with (value (middle_ st) + (z - value (middle_ st)) * (value (factor st) * value b)) by ring.
  rewrite H1; ring.
Qed.
Lemma unchanging_spec s z : unchanging s = true -> step_value s [z] = [z].
Proof.
  destruct s as [[|[|w []] []] [|b []]|[|st []]]; try discriminate; cbn [unchanging]; intros H.
  - apply andb_prop in H as [H1 H2]. apply same_spec in H1, H2. rewrite value_1 in H1; rewrite value_0 in H2.
    cbn. rewrite H1, H2. f_equal; ring.
  - cbn [step_value zip]. rewrite is_identity_spec by exact H. reflexivity.
Qed.
Lemma same_stage_spec st p z : same_stage st p = true -> stage_value st z = stage_value p z.
Proof.
  unfold same_stage, stage_value. intros H; apply andb_prop in H as [H H3]; apply andb_prop in H as [H1 H2].
  apply same_spec in H1, H2. rewrite H1, H2. set (t := (z - value (middle_ p)) * value (factor p)).
  enough (dpoly (plus dyadics (in_powers st) (map dopp (in_powers p))) t = 0) as E by (rewrite dpoly_plus, dpoly_opp in E; lra).
  induction (plus dyadics _ _) as [|a q IH]; [reflexivity|]. cbn [forallb] in H3. apply andb_prop in H3 as [Ha Hq].
  rewrite dpoly_cons, IH by exact Hq. apply Z.eqb_eq, value_no_mantissa in Ha. rewrite Ha; ring.
Qed.
Lemma unchanging_all steps z : forallb unchanging steps = true -> span_value steps [z] = [z].
Proof.
  unfold span_value; induction steps as [|s steps IH]; cbn [forallb fold_left]; [reflexivity|].
  intros H; apply andb_prop in H as [H1 H2]. rewrite unchanging_spec by exact H1. apply IH, H2.
Qed.
Lemma single_spec p steps z : single p steps = true -> span_value steps [z] = [stage_value p z].
Proof.
  induction steps as [|s steps IH]; cbn [single].
  - intros H; rewrite is_identity_spec by exact H. reflexivity.
  - destruct (unchanging s) eqn:E; intros H.
    + specialize (IH H). unfold span_value in *; cbn [fold_left]. rewrite unchanging_spec by exact E. exact IH.
    + destruct s as [|[|st []]]; try discriminate. apply andb_prop in H as [H1 H2].
      unfold span_value; cbn [fold_left step_value zip]. rewrite (same_stage_spec st p z H1). apply unchanging_all, H2.
Qed.

(** ** The SLNN *)

(** By its layers: those of a span, where there is one. *)
Fixpoint layers_value (net : list certified_layer) (spans : list (list composite_step)) (x : list R) : list R :=
  match net with
  | [] => x
  | l :: net' =>
      layers_value net' (tl spans)
        (match l, hd [] spans with Neurons _, s :: span => span_value (s :: span) x | _, _ => slnn [layer_value l] x end)
  end.

Definition with_part (span : list composite_step) (i : nat) (n : certified_neuron) : certified_neuron :=
  match block n with
  | Some (g, _) =>
      Neuron (act n) (centre n) (scale n) (coefficients n) (claims n) (slope_below n) (slope_above n)
        (low_proof n) (high_proof n) (Some (g, snd (part span [i])))
  | None => n
  end.
Fixpoint with_parts (span : list composite_step) (i : nat) (l : list certified_neuron) : list certified_neuron :=
  match l with [] => [] | n :: l' => with_part span i n :: with_parts span (S i) l' end.
Fixpoint filled (spans : list (list composite_step)) (net : list certified_layer) : list certified_layer :=
  match net with
  | [] => []
  | l :: net' =>
      (match l, hd [] spans with Neurons ns, s :: span => Neurons (with_parts (s :: span) 0 ns) | _, _ => l end)
        :: filled (tl spans) net'
  end.

Definition part_ok (span : list composite_step) (i : nat) (n : certified_neuron) : bool :=
  let (J, steps) := part span [i] in
  match J with
  | [j] => if (j =? i)%nat then
             match block n with Some _ => true | None => single (Stage (centre n) (scale n) (powers (coefficients n)) []) steps end
           else false
  | [] => match block n with Some _ => true | None => false end
  | _ => false
  end.
Fixpoint parts_ok (span : list composite_step) (i : nat) (l : list certified_neuron) : bool :=
  match l with [] => true | n :: l' => if part_ok span i n then parts_ok span (S i) l' else false end.
Definition span_ok (span : list composite_step) (l : list certified_neuron) : bool :=
  match width_behind (length l) span with Some m => if (m =? length l)%nat then parts_ok span 0 l else false | None => false end.
Fixpoint layers_ok (n : nat) (spans : list (list composite_step)) (net : list certified_layer) : bool :=
  match net with
  | [] => true
  | Affine W b :: net' => if (length W =? length b)%nat then layers_ok (length W) (tl spans) net' else false
  | Neurons l :: net' =>
      if (length l =? n)%nat then
      if match hd [] spans with [] => true | s :: span => span_ok (s :: span) l end then layers_ok n (tl spans) net'
      else false else false
  end.

Lemma part_ok_spec span i n v : part_ok span i n = true -> width_behind (length v) span <> None ->
  polynomial_of (with_part span i n) (nth i v 0) = nth i (span_value span v) 0.
Proof.
  unfold part_ok; intros H HW. pose proof (part_spec span [i] (length v) v eq_refl HW) as P.
  pose proof (part_of_nothing span i [nth i v 0]) as N.
  assert (polynomial_of (with_part span i n) (nth i v 0) = hd 0 (span_value (snd (part span [i])) [nth i v 0])) as ->.
  { unfold with_part. destruct (block n) as [[g steps]|] eqn:HB; [reflexivity|].
    destruct (part span [i]) as [[|j []] steps]; try discriminate. destruct (j =? i)%nat; [|discriminate].
    cbn [snd]. rewrite (single_spec _ _ _ H). unfold polynomial_of, stage_value; rewrite HB.
    cbn [hd in_powers middle_ factor]. rewrite powers_spec. reflexivity. }
  destruct (part span [i]) as [[|j []] steps]; try discriminate; cbn [fst snd] in *.
  - rewrite N by reflexivity. change (select 0 [] v) with (@nil R) in P. rewrite P. reflexivity.
  - destruct (Nat.eqb_spec j i) as [->|]; [|discriminate]. change (select 0 [i] v) with [nth i v 0] in P. rewrite P. reflexivity.
Qed.
Lemma select_all (w : list R) : select 0 (seq 0 (length w)) w = w.
Proof.
  unfold select. induction w as [|x w IH]; [reflexivity|]. cbn [length seq map nth]. rewrite <- seq_shift, map_map.
  f_equal. exact IH.
Qed.
Lemma span_ok_spec span l v : span_ok span l = true -> length v = length l ->
  zip p (map neuron_value (with_parts span 0 l)) v = span_value span v.
Proof.
  unfold span_ok; intros H Hv. destruct (width_behind (length l) span) as [m|] eqn:EW; [|discriminate].
  destruct (Nat.eqb_spec m (length l)) as [->|]; [|discriminate].
  rewrite <- (select_all (span_value span v)), (span_length span _ _ v Hv EW).
  assert (width_behind (length v) span <> None) as HW by (rewrite Hv, EW; discriminate). clear EW.
  assert (forall k, nth k v 0 = nth (0 + k) v 0) as Hk by reflexivity.
  revert H Hv Hk. generalize 0%nat as i. generalize v at 1 2 4 as u.
  induction l as [|n l IH]; intros [|z u] i H Hv Hk; try discriminate; [reflexivity|].
  cbn [parts_ok] in H. destruct (part_ok span i n) eqn:E; [|discriminate].
  cbn [with_parts map zip length seq]. unfold select in *; cbn [map]. f_equal.
  - specialize (Hk 0%nat). cbn [nth] in Hk. rewrite Nat.add_0_r in Hk. rewrite Hk. cbn [neuron_value p].
    apply part_ok_spec; auto.
  - apply IH; auto. intros k. specialize (Hk (S k)). cbn [nth] in Hk. rewrite Hk. f_equal; lia.
Qed.
(** The theorem of the head of this file. *)
Theorem layers_spec net : forall spans x, layers_ok (length x) spans net = true ->
  layers_value net spans x = slnn (network_value (filled spans net)) x.
Proof.
  induction net as [|l net IH]; intros spans x H; [reflexivity|]. cbn [layers_value filled network_value map].
  destruct l as [W b|ns]; cbn [layers_ok] in H.
  - destruct (Nat.eqb_spec (length W) (length b)) as [E|]; [|discriminate].
    cbn [layer_value slnn]. apply IH. unfold affine; rewrite zip_length, !map_length.
    replace (Nat.min (length W) (length b)) with (length W) by lia. exact H.
  - destruct (Nat.eqb_spec (length ns) (length x)) as [E|]; [|discriminate].
    destruct (hd [] spans) as [|s span].
    + cbn [layer_value slnn]. apply IH. rewrite zip_length, map_length. replace (Nat.min (length ns) (length x)) with (length x) by lia. exact H.
    + destruct (span_ok (s :: span) ns) eqn:ES; [|discriminate]. cbn [layer_value slnn].
      rewrite (span_ok_spec _ _ _ ES (eq_sym E)). apply IH.
      unfold span_ok in ES. destruct (width_behind (length ns) (s :: span)) as [m|] eqn:EW; [|discriminate].
      destruct (Nat.eqb_spec m (length ns)) as [->|]; [|discriminate].
      rewrite (span_length _ _ _ x (eq_sym E) EW), E. exact H.
Qed.
Lemma inside_length B x : inside_box B x -> length x = length B.
Proof. intros H; induction H; cbn [length]; congruence. Qed.
(** What is filled in is of the SLNN alone. *)
Lemma filled_reference net : forall spans x,
  reference (network_value (filled spans net)) x = reference (network_value net) x.
Proof.
  induction net as [|l net IH]; intros spans x; [reflexivity|]. cbn [filled network_value map].
  assert (forall span i ns, map s (map neuron_value (with_parts span i ns)) = map s (map neuron_value ns)) as H.
  { intros span i ns; revert i; induction ns as [|n ns IHn]; intros i; cbn [with_parts map]; [reflexivity|].
    rewrite IHn. f_equal. unfold with_part; destruct (block n) as [[g st]|]; reflexivity. }
  destruct l as [W b|ns]; cbn [layer_value reference]; [apply IH|].
  destruct (hd [] spans) as [|st span]; cbn [layer_value reference]; [apply IH|].
  fold (network_value (filled (tl spans) net)) (network_value net). rewrite IH. f_equal.
  specialize (H (st :: span) 0%nat ns). revert H. generalize (map neuron_value (with_parts (st :: span) 0 ns)) as a.
  generalize (map neuron_value ns) as b. clear. intros b a; revert b x; induction a as [|m a IHa]; intros [|m' b] x H; try discriminate; [reflexivity|].
  injection H as H1 H2. destruct x as [|t x]; [reflexivity|]. cbn [zip]. rewrite H1. f_equal. apply IHa, H2.
Qed.
