(** * A verified checker of certificates

    [check] computes with dyadic numbers, exactly or rounded outward.  If it says true of a box, a network with
    polynomials beside its activations, claims for each neuron and bounds, then at every point of the box
    every output of the SLNN differs from the one of the network by at most its bound ([check_sound]).

    It confirms the five claims of a certificate, neuron by neuron: the range by linear relaxation back to
    the inputs, with splits of the box by signs of pre-activations where the certificate has them ([ranges_ok]);
    that the range enlarged by method C's difference lies in the interval; the slopes, of the activation or of
    the polynomial; the error on the interval, piece by piece by Bernstein coefficients and subdivision; and the
    bounds of the outputs by method C.  Slopes of lines, points where they touch, splits and multipliers are
    hints: any are sound. *)

From Coq Require Import Reals ZArith Lra Lia Psatz Bool.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh Smooth Activations Composite.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** What is certified *)

(** sum_k c_k T_k(t), by T_(k+1) = 2 t T_k - T_(k-1). *)
Fixpoint chebyshev_from (c : list R) (t x y : R) : R :=
  match c with [] => 0 | a :: c' => a * x + chebyshev_from c' t y (2 * t * y - x) end.
Definition chebyshev (c : list R) (t : R) := chebyshev_from c t 1 t.

(** How an end of a range is proven: with other slopes of lines (step, neuron, slope, where it touches) and
    multipliers of assumptions (step, neuron, multiplier), on each part of the box that the splits by the sign
    of a pre-activation leave.  Steps are counted backward from the layer. *)
Inductive tree :=
| Leaf (lines : list (nat * nat * dyadic * dyadic)) (multipliers : list (nat * nat * dyadic))
| Split (step neuron : nat) (at_most_0 at_least_0 : tree).

(** In the place of an activation stands a polynomial in (z - centre) scale or, where there is one, a
    composite block; a number 2^g goes with that, to which it is rounded. *)
Record certified_neuron := Neuron
  { act : activation; centre : dyadic; scale : dyadic; coefficients : list dyadic;
    claims : claim dyadic; slope_below : dyadic * dyadic; slope_above : dyadic * dyadic;
    low_proof : tree; high_proof : tree; block : option (Z * list composite_step) }.
Inductive certified_layer := Affine (W : list (list dyadic)) (b : list dyadic) | Neurons (l : list certified_neuron).

Definition polynomial_of (n : certified_neuron) (z : R) : R :=
  match block n with
  | None => chebyshev (values (coefficients n)) ((z - value (centre n)) * value (scale n))
  | Some (_, steps) => composition_value steps z
  end.
Definition neuron_value (n : certified_neuron) : neuron :=
  Propagation.Neuron (function (act n)) (polynomial_of n) (claim_value (claims n)).
Definition layer_value (l : certified_layer) : layer :=
  match l with
  | Affine W b => Propagation.Affine (map values W) (values b)
  | Neurons ns => Propagation.Neurons (map neuron_value ns)
  end.
Definition network_value (net : list certified_layer) := map layer_value net.
Definition dyadic_box := list (dyadic * dyadic).
Definition inside_box (B : dyadic_box) (x : list R) := Forall2 (fun i t => value (fst i) <= t <= value (snd i)) B x.

(** ** Polynomials in powers *)

Fixpoint powers_from (c : list dyadic) (x y : list dyadic) : list dyadic :=
  match c with
  | [] => []
  | a :: c' => plus dyadics (map (dmul a) x)
      (powers_from c' y (plus dyadics (d0 :: map (dmul (Dyadic 1 1)) y) (map dopp x)))
  end.
Definition powers (c : list dyadic) := powers_from c [d1] [d0; d1].
Lemma powers_from_spec c x y t :
  dpoly (powers_from c x y) t = chebyshev_from (values c) t (dpoly x t) (dpoly y t).
Proof.
  revert x y; induction c as [|a c IH]; intros x y; [reflexivity|].
  cbn [powers_from map chebyshev_from]. rewrite dpoly_plus, dpoly_scale, IH, dpoly_plus, dpoly_shift, dpoly_scale, dpoly_opp.
  replace (value (Dyadic 1 1)) with 2 by (unfold value; simpl; lra). do 2 f_equal. ring.
Qed.
Lemma powers_spec c t : dpoly (powers c) t = chebyshev (values c) t.
Proof.
  unfold powers, chebyshev. rewrite powers_from_spec.
  replace (dpoly [d1] t) with 1 by (simpl; rewrite value_1; ring).
  replace (dpoly [d0; d1] t) with t by (simpl; rewrite value_0, value_1; ring). reflexivity.
Qed.

(** ** Ranges by linear relaxation *)

(** A neuron of a layer before: lines below and above its activation on its range, the sign assumed of its
    pre-activation, and a number with tilt z <= 0. *)
Record relaxed := Relaxed
  { fn : activation; from_ : dyadic; to_ : dyadic; under_line : dyadic * dyadic; over_line : dyadic * dyadic;
    side : option bool; tilt : dyadic }.
Inductive step := Through (W : list (list dyadic)) (b : list dyadic) | Across (us : list relaxed).

(** What arrives behind the steps, the last one first. *)
Fixpoint arriving (pre : list step) (x : list R) : list R :=
  match pre with
  | [] => x
  | Through W b :: pre' => affine reals (map values W) (values b) (arriving pre' x)
  | Across us :: pre' => zip (fun u z => function (fn u) z) us (arriving pre' x)
  end.
Definition valid_relaxed (u : relaxed) (z : R) :=
  value (from_ u) <= z <= value (to_ u) /\
  value (fst (under_line u)) * z + value (snd (under_line u)) <= function (fn u) z /\
  function (fn u) z <= value (fst (over_line u)) * z + value (snd (over_line u)) /\
  value (tilt u) * z <= 0 /\
  match side u with Some true => 0 <= z | Some false => z <= 0 | None => True end.
Fixpoint valid (pre : list step) (x : list R) : Prop :=
  match pre with
  | [] => True
  | Through W b :: pre' => length W = length b /\ valid pre' x
  | Across us :: pre' => Forall2 valid_relaxed us (arriving pre' x) /\ valid pre' x
  end.

Fixpoint least_on_box (r : list dyadic) (B : dyadic_box) : dyadic :=
  match r, B with
  | a :: r', (l, h) :: B' => dadd (dmul a (if dleb d0 a then l else h)) (least_on_box r' B')
  | _, _ => d0
  end.
Definition line_for (a : dyadic) (u : relaxed) := if dleb d0 a then under_line u else over_line u.
Definition slope_for (a : dyadic) (u : relaxed) := dadd (dmul a (fst (line_for a u))) (tilt u).
Definition offset_for (a : dyadic) (u : relaxed) := dmul a (snd (line_for a u)).
(** At most c + r . (what arrives), for all points of the box. *)
Fixpoint lower_bound (pre : list step) (B : dyadic_box) (r : list dyadic) (c : dyadic) : dyadic :=
  match pre with
  | [] => dadd c (least_on_box r B)
  | Through W b :: pre' => lower_bound pre' B (combine_rows dyadics r W) (dadd c (dot dyadics r b))
  | Across us :: pre' =>
      lower_bound pre' B (zip slope_for r us) (dadd c (total dyadics (zip offset_for r us)))
  end.

Fixpoint update {A} (j : nat) (f : A -> A) (l : list A) : list A :=
  match l with [] => [] | a :: l' => match j with O => f a :: l' | S j' => a :: update j' f l' end end.
Definition across (f : list relaxed -> list relaxed) (st : step) :=
  match st with Across us => Across (f us) | Through W b => Through W b end.
Definition at_neuron (k j : nat) (f : relaxed -> relaxed) (pre : list step) := update k (across (update j f)) pre.

Definition with_line (a c : dyadic) (u : relaxed) : relaxed :=
  match below (fn u) a c (from_ u) (to_ u) with
  | Some m => Relaxed (fn u) (from_ u) (to_ u) (a, m) (over_line u) (side u) (tilt u)
  | None => u
  end.
Definition with_multiplier (m : dyadic) (u : relaxed) : relaxed :=
  if dleb d0 m then
    match side u with
    | Some s => Relaxed (fn u) (from_ u) (to_ u) (under_line u) (over_line u) (side u) (if s then dopp m else m)
    | None => u
    end
  else u.
Definition with_side (s : bool) (u : relaxed) : relaxed :=
  match halves (fn u) with
  | Some (a, b) => let l := (if s then b else a, d0) in Relaxed (fn u) (from_ u) (to_ u) l l (Some s) (tilt u)
  | None => Relaxed (fn u) (from_ u) (to_ u) (under_line u) (over_line u) (Some s) (tilt u)
  end.
Definition with_constants (u : relaxed) : relaxed :=
  match below (fn u) d0 (from_ u) (from_ u) (to_ u), above (fn u) d0 (to_ u) (from_ u) (to_ u) with
  | Some m, Some m' => Relaxed (fn u) (from_ u) (to_ u) (d0, m) (d0, m') (side u) (tilt u)
  | _, _ => u
  end.

Fixpoint least_of_tree (t : tree) (pre : list step) (B : dyadic_box) (r : list dyadic) : dyadic :=
  match t with
  | Leaf ls ms =>
      let pre1 := fold_left (fun pre l => let '(k, j, a, c) := l in at_neuron k j (with_line a c) pre) ls pre in
      let pre2 := fold_left (fun pre m => let '(k, j, b) := m in at_neuron k j (with_multiplier b) pre) ms pre1 in
      lower_bound pre2 B r d0
  | Split k j below above =>
      dmin (least_of_tree below (at_neuron k j (with_side false) pre) B r)
           (least_of_tree above (at_neuron k j (with_side true) pre) B r)
  end.

(** *** Soundness *)

Lemma least_on_box_spec r B x : inside_box B x -> value (least_on_box r B) <= dot reals (values r) x.
Proof.
  intros H; revert r; induction H as [|[l h] t B x Hi H IH]; intros [|a r]; cbn [least_on_box map dot];
    rewrite ?value_0; try apply Rle_refl.
  rewrite value_add, value_mul. apply Rplus_le_compat; [|apply IH]. cbn [fst snd mul reals] in *.
  destruct (dleb d0 a) eqn:E.
  - apply dleb_spec in E; rewrite value_0 in E. nra.
  - assert (value a < 0); [|nra]. apply Rnot_le_lt; intros H0.
    assert (dleb d0 a = true) by (apply dleb_spec; rewrite value_0; auto). congruence.
Qed.
Lemma dot_affine r W b v : length W = length b ->
  dot reals (values r) (affine reals (map values W) (values b) v) =
  dot reals (values (combine_rows dyadics r W)) v + value (dot dyadics r b).
Proof.
  rewrite values_combine, dot_combine, value_dot. unfold affine.
  revert W b; induction r as [|a r IH]; intros [|w W] [|c b] H; try discriminate; simpl; try ring.
  specialize (IH W b ltac:(simpl in H; congruence)). simpl in IH; rewrite IH. ring.
Qed.
Lemma across_below r us z : Forall2 valid_relaxed us z ->
  dot reals (values (zip slope_for r us)) z + value (total dyadics (zip offset_for r us)) <=
  dot reals (values r) (zip (fun u t => function (fn u) t) us z).
Proof.
  intros H; revert r; induction H as [|u t us z Hu H IH]; intros [|a r];
    cbn [zip map dot total fold_right zero add mul reals dyadics] in *; rewrite ?value_0; try lra.
  specialize (IH r). unfold total in IH; cbn [add zero dyadics] in IH.
  unfold slope_for at 1, offset_for at 1. rewrite !value_add, !value_mul.
  destruct Hu as (_ & H1 & H2 & H3 & _). unfold line_for.
  destruct (dleb d0 a) eqn:E.
  - apply dleb_spec in E; rewrite value_0 in E. nra.
  - assert (value a < 0); [|nra]. apply Rnot_le_lt; intros H0.
    assert (dleb d0 a = true) by (apply dleb_spec; rewrite value_0; auto). congruence.
Qed.
Lemma lower_bound_spec B x pre : inside_box B x -> valid pre x -> forall r c,
  value (lower_bound pre B r c) <= value c + dot reals (values r) (arriving pre x).
Proof.
  intros HB; induction pre as [|[W b|us] pre IH]; intros HV r c; cbn [lower_bound arriving].
  - rewrite value_add. pose proof (least_on_box_spec r B x HB); lra.
  - destruct HV as [HW HV]. eapply Rle_trans; [apply IH; auto|]. rewrite value_add, dot_affine by auto. lra.
  - destruct HV as [HU HV]. eapply Rle_trans; [apply IH; auto|]. rewrite value_add.
    pose proof (across_below r us _ HU); lra.
Qed.

Definition keeps (f : relaxed -> relaxed) := forall u, fn (f u) = fn u.
Lemma arriving_at k j f pre x : keeps f -> arriving (at_neuron k j f pre) x = arriving pre x.
Proof.
  intros Hf; revert k; induction pre as [|s pre IH]; intros [|k]; auto.
  - destruct s as [W b|us]; auto. cbn. clear IH. generalize (arriving pre x) as z. revert j.
    induction us as [|u us IHu]; intros [|j] [|t z]; auto; cbn; [rewrite Hf; auto|f_equal; apply IHu].
  - unfold at_neuron in *; destruct s as [W b|us]; cbn; rewrite IH; auto.
Qed.
(** If one of two changes is right for every neuron, one is for the layers. *)
Lemma valid_either k j f g pre x : keeps f -> keeps g ->
  (forall u z, valid_relaxed u z -> valid_relaxed (f u) z \/ valid_relaxed (g u) z) ->
  valid pre x -> valid (at_neuron k j f pre) x \/ valid (at_neuron k j g pre) x.
Proof.
  intros Hf Hg Hfg; revert k; induction pre as [|s pre IH]; intros [|k] HV; auto.
  - destruct s as [W b|us]; auto. cbn in *. destruct HV as [HU HV].
    assert (Forall2 valid_relaxed (update j f us) (arriving pre x) \/ Forall2 valid_relaxed (update j g us) (arriving pre x))
      as [H|H]; [|left; auto|right; auto].
    clear HV IH. revert j; induction HU as [|u z us zs Hu HU IHu]; intros [|j]; cbn; try (left; constructor; fail).
    + destruct (Hfg u z Hu); [left|right]; constructor; auto.
    + destruct (IHu j); [left|right]; constructor; auto.
  - unfold at_neuron in *; destruct s as [W b|us]; cbn in *; destruct HV as [H HV]; destruct (IH k HV);
      [left|right|left|right]; split; auto; rewrite ?(arriving_at k j f), ?(arriving_at k j g); auto;
      change (update k (across (update j f)) pre) with (at_neuron k j f pre) in *;
      change (update k (across (update j g)) pre) with (at_neuron k j g pre) in *;
      rewrite ?(arriving_at k j f), ?(arriving_at k j g); auto.
Qed.
Lemma valid_at k j f pre x : keeps f -> (forall u z, valid_relaxed u z -> valid_relaxed (f u) z) ->
  valid pre x -> valid (at_neuron k j f pre) x.
Proof. intros Hf H HV. destruct (valid_either k j f f pre x Hf Hf (fun u z Hu => or_introl (H u z Hu)) HV); auto. Qed.

Lemma with_line_keeps a c : keeps (with_line a c).
Proof. intros u; unfold with_line; destruct (below _ _ _ _ _); auto. Qed.
Lemma with_multiplier_keeps m : keeps (with_multiplier m).
Proof. intros u; unfold with_multiplier; destruct (dleb d0 m), (side u); auto. Qed.
Lemma with_side_keeps s : keeps (with_side s).
Proof. intros u; unfold with_side; destruct (halves (fn u)) as [[a b]|]; auto. Qed.
Lemma with_line_valid a c u z : valid_relaxed u z -> valid_relaxed (with_line a c u) z.
Proof.
  unfold with_line; intros H. destruct (below _ _ _ _ _) as [m|] eqn:E; auto.
  destruct H as (H1 & H2 & H3). repeat split; cbn; try tauto.
  apply (below_spec (fn u) a c (from_ u) (to_ u) m); auto; lra.
Qed.
Lemma with_multiplier_valid m u z : valid_relaxed u z -> valid_relaxed (with_multiplier m u) z.
Proof.
  unfold with_multiplier; intros H. destruct (dleb d0 m) eqn:E; auto. destruct (side u) as [s|] eqn:Es; auto.
  apply dleb_spec in E; rewrite value_0 in E. destruct H as (H1 & H2 & H3 & H4 & H5). rewrite Es in H5.
  repeat split; cbn; try tauto; rewrite ?Es; auto. destruct s; rewrite ?value_opp; nra.
Qed.
Lemma with_side_valid u z : valid_relaxed u z -> valid_relaxed (with_side false u) z \/ valid_relaxed (with_side true u) z.
Proof.
  intros (H1 & H2 & H3 & H4 & H5). unfold with_side.
  destruct (halves (fn u)) as [[a b]|] eqn:E.
  - destruct (halves_spec (fn u) a b z E) as [Ha Hb].
    destruct (Rle_dec z 0) as [Hz|Hz]; [left|right]; repeat split; cbn; rewrite ?value_0, ?Ha, ?Hb by lra; try tauto; lra.
  - destruct (Rle_dec z 0) as [Hz|Hz]; [left|right]; repeat split; cbn; try tauto; lra.
Qed.

Theorem least_of_tree_spec B x t : inside_box B x -> forall pre r, valid pre x ->
  value (least_of_tree t pre B r) <= dot reals (values r) (arriving pre x).
Proof.
  intros HB; induction t as [ls ms|k j bl IHb ab IHa]; intros pre r HV; cbn [least_of_tree].
  - set (pre1 := fold_left _ ls pre).
    assert (valid pre1 x /\ arriving pre1 x = arriving pre x) as [V1 A1].
    { unfold pre1; clear pre1. revert pre HV; induction ls as [|[[[k j] a] c] ls IH]; intros pre HV; cbn [fold_left]; auto.
      destruct (IH (at_neuron k j (with_line a c) pre)) as [V A].
      - apply valid_at; auto using with_line_keeps, with_line_valid.
      - rewrite arriving_at in A by apply with_line_keeps; auto. }
    set (pre2 := fold_left _ ms pre1).
    assert (valid pre2 x /\ arriving pre2 x = arriving pre1 x) as [V2 A2].
    { unfold pre2; clear pre2. clearbody pre1. clear A1. revert pre1 V1; induction ms as [|[[k j] m] ms IH]; intros pre1 V1; cbn [fold_left]; auto.
      destruct (IH (at_neuron k j (with_multiplier m) pre1)) as [V A].
      - apply valid_at; auto using with_multiplier_keeps, with_multiplier_valid.
      - rewrite arriving_at in A by apply with_multiplier_keeps; auto. }
    eapply Rle_trans; [apply (lower_bound_spec B x pre2 HB V2)|]. rewrite value_0, A2, A1; lra.
  - destruct (dmin_spec (least_of_tree bl (at_neuron k j (with_side false) pre) B r)
      (least_of_tree ab (at_neuron k j (with_side true) pre) B r)) as [M1 M2].
    destruct (valid_either k j (with_side false) (with_side true) pre x) as [V|V];
      auto using with_side_keeps, with_side_valid.
    + specialize (IHb _ r V). rewrite arriving_at in IHb by apply with_side_keeps. lra.
    + specialize (IHa _ r V). rewrite arriving_at in IHa by apply with_side_keeps. lra.
Qed.

(** Constant lines in the last layer of neurons: interval arithmetic. *)
Fixpoint flat (pre : list step) : list step :=
  match pre with
  | [] => []
  | Through W b :: pre' => Through W b :: flat pre'
  | Across us :: pre' => Across (map with_constants us) :: pre'
  end.
Lemma with_constants_keeps : keeps with_constants.
Proof.
  intros u; unfold with_constants.
  destruct (below (fn u) d0 (from_ u) (from_ u) (to_ u)), (above (fn u) d0 (to_ u) (from_ u) (to_ u)); auto.
Qed.
Lemma with_constants_valid u z : valid_relaxed u z -> valid_relaxed (with_constants u) z.
Proof.
  unfold with_constants; intros H. destruct (below _ _ _ _ _) as [m|] eqn:E; auto.
  destruct (above _ _ _ _ _) as [m'|] eqn:E'; auto. destruct H as (H1 & H2 & H3 & H4). repeat split; cbn; try tauto.
  - apply (below_spec (fn u) d0 (from_ u) (from_ u) (to_ u) m); auto; lra.
  - apply (above_spec (fn u) d0 (to_ u) (from_ u) (to_ u) m'); auto; lra.
Qed.
Lemma flat_spec pre x : valid pre x -> valid (flat pre) x /\ arriving (flat pre) x = arriving pre x.
Proof.
  induction pre as [|[W b|us] pre IH]; cbn [flat valid arriving]; auto.
  - intros [H HV]; destruct (IH HV) as [V ->]; auto.
  - intros [H HV]; split; [split; auto|].
    + clear HV IH; induction H; cbn; constructor; auto using with_constants_valid.
    + generalize (arriving pre x) as z; clear. induction us as [|u us IH]; intros [|t z]; cbn; auto.
      rewrite with_constants_keeps, IH; auto.
Qed.

Definition unit_row (i : nat) (a : dyadic) : list dyadic := repeat d0 i ++ [a].
Definition end_ok (pre flat_pre : list step) (B : dyadic_box) (r : list dyadic) (t : tree) (goal : dyadic) : bool :=
  if dleb goal (lower_bound flat_pre B r d0) then true else dleb goal (least_of_tree t pre B r).
Definition range_ok pre flat_pre B (i : nat) (n : certified_neuron) : bool :=
  if end_ok pre flat_pre B (unit_row i d1) (low_proof n) (low (claims n)) then
  end_ok pre flat_pre B (unit_row i (dopp d1)) (high_proof n) (dopp (high (claims n))) else false.
Fixpoint ranges_ok pre flat_pre B (i : nat) (l : list certified_neuron) : bool :=
  match l with
  | [] => true
  | n :: l' => if range_ok pre flat_pre B i n then ranges_ok pre flat_pre B (S i) l' else false
  end.

Lemma dot_unit i a v : dot reals (values (unit_row i a)) v = value a * nth i v 0.
Proof.
  unfold unit_row; revert v; induction i as [|i IH]; intros [|t v]; cbn; rewrite ?value_0; try ring.
  cbn in IH; rewrite IH; ring.
Qed.
Lemma end_ok_spec B x pre r t goal : inside_box B x -> valid pre x -> end_ok pre (flat pre) B r t goal = true ->
  value goal <= dot reals (values r) (arriving pre x).
Proof.
  unfold end_ok; intros HB HV H. destruct (dleb goal (lower_bound (flat pre) B r d0)) eqn:E; apply dleb_spec in E || clear E.
  - destruct (flat_spec pre x HV) as [V A]. pose proof (lower_bound_spec B x (flat pre) HB V r d0) as P.
    rewrite value_0, A in P. lra.
  - apply dleb_spec in H. pose proof (least_of_tree_spec B x t HB pre r HV). lra.
Qed.
Lemma ranges_ok_spec B x pre l : inside_box B x -> valid pre x ->
  forall i, ranges_ok pre (flat pre) B i l = true ->
  forall k n, nth_error l k = Some n -> value (low (claims n)) <= nth (i + k) (arriving pre x) 0 <= value (high (claims n)).
Proof.
  intros HB HV; induction l as [|n' l IH]; intros i H [|k] n E; try discriminate; cbn [ranges_ok] in H;
    destruct (range_ok pre (flat pre) B i n') eqn:E1; try discriminate.
  - injection E as ->. unfold range_ok in E1. rewrite Nat.add_0_r.
    destruct (end_ok pre (flat pre) B (unit_row i d1) (low_proof n) (low (claims n))) eqn:E2; [|discriminate].
    apply (end_ok_spec B x) in E1; auto. apply (end_ok_spec B x) in E2; auto.
    rewrite dot_unit, value_1 in E2. rewrite dot_unit, !value_opp, value_1 in E1. lra.
  - rewrite <- Nat.add_succ_comm. apply (IH (S i) H k n E).
Qed.

(** ** Errors and slopes of a neuron *)

(** Whether lo <= q(a + b v) <= hi for all v in [0, 1]. *)
Definition between (g : Z) (q : list dyadic) (a b lo hi : dyadic) : bool :=
  let (r, e) := composed g a b q in
  if positive 20 (plus dyadics [dopp (dadd lo e)] r) then positive 20 (plus dyadics [dsub hi e] (map dopp r)) else false.
Lemma between_spec g q a b lo hi v : between g q a b lo hi = true -> 0 <= v <= 1 ->
  value lo <= dpoly q (value a + value b * v) <= value hi.
Proof.
  unfold between; intros H Hv. pose proof (composed_spec g a b q v Hv) as P.
  destruct (composed g a b q) as [r e]; cbn [fst snd] in P.
  destruct (positive 20 (plus dyadics [dopp (dadd lo e)] r)) eqn:E; [|discriminate].
  apply (fun h => positive_spec _ _ v h Hv) in E. apply (fun h => positive_spec _ _ v h Hv) in H.
  rewrite dpoly_plus, dpoly_cons, value_opp, value_add in E. rewrite dpoly_plus, dpoly_cons, dpoly_opp, value_sub in H.
  change (dpoly [] v) with 0 in *. revert P; unfold Rabs; destruct (Rcase_abs _); lra.
Qed.

(** The slopes of the polynomial q((z - centre) scale) on [l, u] lie in [lo, hi]. *)
Definition polynomial_slopes (q : list dyadic) (centre scale l u lo hi : dyadic) : bool :=
  let g := if (length q <=? 3)%nat then (-4000)%Z else (-110)%Z in
  between g (map (dmul scale) (derivative q)) (dmul (dsub l centre) scale) (dmul (dsub u l) scale) lo hi.
Lemma derivative_of_shifted q (c s z : R) :
  is_derive (fun z : R => dpoly q ((z - c) * s)) z (s * dpoly (derivative q) ((z - c) * s)).
Proof.
  pose proof (derivative_spec q ((z - c) * s)) as D1.
  assert (is_derive (fun z : R => (z - c) * s) z s) as D2.
  { pose proof (sum_derivative (fun z => s * z ^ 1) (fun _ => - (c * s)) z _ _ (monomial_derivative s 0 z)
      (constant_derivative (- (c * s)) z)) as P.
    replace (s * (INR 1 * z ^ 0) + 0) with s in P by (simpl; ring).
    eapply is_derive_ext; [|exact P]. intros t; cbv beta.
    match goal with |- ?a = ?b => change (@eq R a b) end; ring. }
  exact (composed_derivative (dpoly q) (fun z : R => (z - c) * s) z _ _ D1 D2).
Qed.
Lemma polynomial_slopes_spec q c s l u lo hi : polynomial_slopes q c s l u lo hi = true ->
  slope_bounds (fun z => dpoly q ((z - value c) * value s)) (value l) (value u) (value lo) (value hi).
Proof.
  unfold polynomial_slopes; set (g := if (_ <=? _)%nat then _ else _). intros H v w Hv Hw Hvw.
  destruct (Req_dec v w) as [->|Hne]; [rewrite !Rminus_diag_eq by reflexivity; lra|].
  assert (forall x, w <= x <= v -> value lo <= value s * dpoly (derivative q) ((x - value c) * value s) <= value hi) as HB.
  { intros x Hx. pose proof (between_spec _ _ _ _ _ _ ((x - value l) / (value u - value l)) H) as P.
    rewrite dpoly_scale, !value_mul, !value_sub in P.
    replace ((value l - value c) * value s + (value u - value l) * value s * ((x - value l) / (value u - value l)))
      with ((x - value c) * value s) in P by (field; lra).
    apply P. split; [apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]|].
    apply Rmult_le_reg_r with (value u - value l); [lra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra. }
  pose proof (fun z (_ : w <= z <= v) => derivative_of_shifted q (value c) (value s) z) as HD.
  split; [apply (mean_value_low _ _ w v _ Hvw HD)|apply (mean_value_high _ _ w v _ Hvw HD)]; intros x Hx; apply HB; auto.
Qed.

(** Whether polynomials are close is decided by any right test. *)
Section Checker.
Variable are_close : test.
Hypothesis are_close_right : right_test are_close.

Definition neuron_ok (n : certified_neuron) (d : dyadic) : bool :=
  let c := claims n in
  let (l, u) := (interval_low c, interval_high c) in
  let q := powers (coefficients n) in
  if dleb l (dsub (low c) d) then if dleb (dadd (high c) d) u then if dleb (slope_low c) (slope_high c) then
  if slopes_within (act n) l u (slope_low c) (slope_high c) then
    error_within are_close q (centre n) (scale n) l u (error c) (pieces (act n))
  else if polynomial_slopes q (centre n) (scale n) l u (slope_low c) (slope_high c) then
    error_within are_close q (centre n) (scale n) l u (error c) (pieces (act n))
  else false else false else false else false.

Theorem neuron_ok_spec n d : block n = None -> neuron_ok n d = true ->
  enlarged (neuron_value n) (value d) /\ holds (neuron_value n) /\
  slope_low (claimed (neuron_value n)) <= slope_high (claimed (neuron_value n)).
Proof.
  intros HB. unfold neuron_ok. set (c := claims n). set (q := powers (coefficients n)). cbv zeta beta.
  destruct (dleb (interval_low c) (dsub (low c) d)) eqn:E1; [|discriminate].
  destruct (dleb (dadd (high c) d) (interval_high c)) eqn:E2; [|discriminate].
  destruct (dleb (slope_low c) (slope_high c)) eqn:E3; [|discriminate].
  apply dleb_spec in E1, E2, E3. rewrite value_sub in E1; rewrite value_add in E2.
  intros H.
  assert (error_within are_close q (centre n) (scale n) (interval_low c) (interval_high c) (error c) (pieces (act n)) = true ->
    forall t, in_interval (neuron_value n) t -> Rabs (p (neuron_value n) t - s (neuron_value n) t) <= error (claimed (neuron_value n))) as HE.
  { intros He t Ht. cbn [neuron_value p s claimed claim_value error]. unfold polynomial_of. rewrite HB.
    rewrite <- powers_spec. apply (error_within_spec _ _ _ _ _ _ _ _ _ are_close_right (pieces_describe (act n)) (pieces_cover (act n)) He t Ht). }
  split; [|split; [|exact E3]]; [split; [exact E1|exact E2]|].
  destruct (slopes_within (act n) (interval_low c) (interval_high c) (slope_low c) (slope_high c)) eqn:E4.
  - split; [apply HE; exact H|left]. exact (slopes_within_sound _ _ _ _ _ E4).
  - destruct (polynomial_slopes q (centre n) (scale n) (interval_low c) (interval_high c) (slope_low c) (slope_high c)) eqn:E5; [|discriminate].
    split; [apply HE; exact H|right]. apply polynomial_slopes_spec in E5. intros v w Hv Hw Hvw.
    specialize (E5 v w Hv Hw Hvw). cbn [neuron_value p claimed]. unfold polynomial_of. rewrite HB.
    rewrite <- !powers_spec. exact E5.
Qed.

(** A composite block: with the slopes of the activation. *)
Definition block_ok (g : Z) (steps : list composite_step) (n : certified_neuron) (d : dyadic) : bool :=
  let c := claims n in
  let (l, u) := (interval_low c, interval_high c) in
  if dleb l (dsub (low c) d) then if dleb (dadd (high c) d) u then if dleb (slope_low c) (slope_high c) then
  if slopes_within (act n) l u (slope_low c) (slope_high c) then
  if steps_ok steps then composite_within g steps l u (error c) (pieces (act n))
  else false else false else false else false else false.
Theorem block_ok_spec g steps n d : block n = Some (g, steps) -> block_ok g steps n d = true ->
  enlarged (neuron_value n) (value d) /\ holds (neuron_value n) /\
  slope_low (claimed (neuron_value n)) <= slope_high (claimed (neuron_value n)).
Proof.
  intros HB. unfold block_ok. set (c := claims n). cbv zeta beta.
  destruct (dleb (interval_low c) (dsub (low c) d)) eqn:E1; [|discriminate].
  destruct (dleb (dadd (high c) d) (interval_high c)) eqn:E2; [|discriminate].
  destruct (dleb (slope_low c) (slope_high c)) eqn:E3; [|discriminate].
  apply dleb_spec in E1, E2, E3. rewrite value_sub in E1; rewrite value_add in E2.
  destruct (slopes_within (act n) (interval_low c) (interval_high c) (slope_low c) (slope_high c)) eqn:E4; [|discriminate].
  destruct (steps_ok steps) eqn:E7; [|discriminate]. intros H.
  split; [|split; [|exact E3]]; [split; [exact E1|exact E2]|].
  split; [|left; exact (slopes_within_sound _ _ _ _ _ E4)].
  intros t Ht. cbn [neuron_value p s claimed claim_value error]. unfold polynomial_of. rewrite HB.
  exact (composite_within_spec _ _ _ _ _ _ _ (pieces_describe (act n)) (pieces_cover (act n)) E7 H t Ht).
Qed.
Definition either_ok (n : certified_neuron) (d : dyadic) : bool :=
  match block n with None => neuron_ok n d | Some (g, steps) => block_ok g steps n d end.

(** ** The checker *)

Fixpoint neurons_ok (l : list certified_neuron) (ds : list dyadic) : bool :=
  match l, ds with
  | [], [] => true
  | n :: l', d :: ds' => if either_ok n d then neurons_ok l' ds' else false
  | _, _ => false
  end.
(** The neurons as the layers behind see them. *)
Definition relax (n : certified_neuron) : option relaxed :=
  let c := claims n in
  let (a, ta) := slope_below n in
  let (b, tb) := slope_above n in
  match below (act n) a ta (low c) (high c), above (act n) b tb (low c) (high c) with
  | Some m, Some m' => Some (Relaxed (act n) (low c) (high c) (a, m) (b, m') None d0)
  | _, _ => None
  end.
Fixpoint relax_all (l : list certified_neuron) : option (list relaxed) :=
  match l with
  | [] => Some []
  | n :: l' => match relax n, relax_all l' with Some u, Some us => Some (u :: us) | _, _ => None end
  end.
Fixpoint at_most (ds bs : list dyadic) : bool :=
  match ds, bs with
  | [], [] => true
  | d :: ds', b :: bs' => if dleb d b then at_most ds' bs' else false
  | _, _ => false
  end.

Definition width_of (pre : list step) (B : dyadic_box) :=
  match pre with [] => length B | Through W _ :: _ => length W | Across us :: _ => length us end.
Fixpoint check_from (pre : list step) (B : dyadic_box) (st : list (form dyadic) * list dyadic)
    (net : list certified_layer) (bounds : list dyadic) : bool :=
  match net with
  | [] => at_most (C_bounds dyadics st) bounds
  | Affine W b :: net' =>
      if (length W =? length b)%nat then check_from (Through W b :: pre) B (C_affine dyadics W st) net' bounds else false
  | Neurons l :: net' =>
      if (length l =? width_of pre B)%nat then
      if ranges_ok pre (flat pre) B 0 l then
      if neurons_ok l (C_bounds dyadics st) then
        match relax_all l with
        | Some us => check_from (Across us :: pre) B (C_neurons dyadics (map claims l) st) net' bounds
        | None => false
        end
      else false else false else false
  end.
Definition no_difference (k : nat) : list (form dyadic) * list dyadic := (repeat ([], d0) k, repeat d0 k).
Definition check_by (B : dyadic_box) (net : list certified_layer) (bounds : list dyadic) : bool :=
  check_from [] B (no_difference (length B)) net bounds.

Lemma neurons_ok_spec l ds : neurons_ok l ds = true ->
  Forall2 (fun n d => enlarged n d /\ holds n /\ slope_low (claimed n) <= slope_high (claimed n))
    (map neuron_value l) (values ds).
Proof.
  revert ds; induction l as [|n l IH]; intros [|d ds]; cbn [neurons_ok map]; try discriminate; [constructor|].
  destruct (either_ok n d) eqn:E; [|discriminate]. constructor; [|apply IH; auto].
  unfold either_ok in E. destruct (block n) as [[g steps]|] eqn:HB; [apply (block_ok_spec g steps)|apply neuron_ok_spec]; auto.
Qed.
Lemma relax_spec l us z : relax_all l = Some us ->
  Forall2 (fun n t => value (low (claims n)) <= t <= value (high (claims n))) l z ->
  Forall2 valid_relaxed us z /\ zip (fun u t => function (fn u) t) us z = zip s (map neuron_value l) z.
Proof.
  intros H HF; revert us H; induction HF as [|n t l z Hn HF IH]; intros us H; cbn [relax_all] in H.
  - injection H as <-; split; [constructor|auto].
  - destruct (relax n) as [u|] eqn:E; [|discriminate]. destruct (relax_all l) as [us'|]; [|discriminate].
    injection H as <-. destruct (IH us' eq_refl) as [H1 H2]. unfold relax in E.
    destruct (slope_below n) as [a ta], (slope_above n) as [b tb].
    destruct (below _ _ _ _ _) as [m|] eqn:Eb; [|discriminate]. destruct (above _ _ _ _ _) as [m'|] eqn:Ea; [|discriminate].
    injection E as <-. split.
    + constructor; auto. cbv beta in Hn. assert (value (low (claims n)) <= value (high (claims n))) as Hlh by lra.
      unfold valid_relaxed; cbn [from_ to_ under_line over_line side tilt fn fst snd]. rewrite value_0.
      split; [exact Hn|]. split; [|split; [|split; [lra|exact I]]].
      * apply (below_spec _ _ _ _ _ _ Hlh Eb); auto.
      * apply (above_spec _ _ _ _ _ _ Hlh Ea); auto.
    + cbn [zip map]. rewrite H2. reflexivity.
Qed.
Lemma at_most_spec ds bs D : at_most ds bs = true -> Forall2 within (values ds) D -> Forall2 within (values bs) D.
Proof.
  revert bs D; induction ds as [|d ds IH]; intros [|b bs] D; cbn [at_most map]; try discriminate; auto.
  intros H HD. destruct (dleb d b) eqn:E; [|discriminate]. apply dleb_spec in E.
  inversion HD as [|? ? ? ? H1 H2]; subst. constructor; [unfold within in *; lra|apply IH; auto].
Qed.
Lemma width_spec pre B x : inside_box B x -> valid pre x -> length (arriving pre x) = width_of pre B.
Proof.
  intros HB; destruct pre as [|[W b|us] pre]; cbn [valid arriving width_of].
  - intros _. symmetry. clear - HB. induction HB; simpl; auto.
  - intros [HW _]. unfold affine; rewrite zip_length, !map_length. lia.
  - intros [HU _]. rewrite zip_length. induction HU; simpl; lia.
Qed.

Lemma check_from_spec B net : forall pre st bounds, check_from pre B st net bounds = true ->
  (forall x, inside_box B x -> valid pre x) ->
  verified method_C (network_value net) (state_value st) (fun v => exists x, inside_box B x /\ v = arriving pre x) /\
  forall D, Forall2 within (Propagation.bounds method_C (run method_C (network_value net) (state_value st))) D ->
    Forall2 within (values bounds) D.
Proof.
  induction net as [|[W b|l] net IH]; intros pre st bounds H HV; cbn [check_from] in H.
  - split; [exact I|]. intros D HD. change (Forall2 within (C_bounds reals (state_value st)) D) in HD. rewrite <- values_bounds in HD. eapply at_most_spec; eauto.
  - destruct (Nat.eqb_spec (length W) (length b)) as [E|]; [|discriminate].
    destruct (IH _ _ _ H) as [V F]; [intros x Hx; split; auto|]. rewrite value_C_affine in V, F.
    split; [|exact F]. split; [rewrite !map_length; auto|].
    eapply verified_mono; [|exact V]. intros v (u & (x & Hx & ->) & ->). exists x; auto.
  - destruct (Nat.eqb_spec (length l) (width_of pre B)) as [E0|]; [|discriminate].
    destruct (ranges_ok pre (flat pre) B 0 l) eqn:E1; [|discriminate].
    destruct (neurons_ok l (C_bounds dyadics st)) eqn:E2; [|discriminate].
    destruct (relax_all l) as [us|] eqn:E3; [|discriminate].
    assert (forall x, inside_box B x ->
      Forall2 (fun n t => value (low (claims n)) <= t <= value (high (claims n))) l (arriving pre x)) as HR.
    { intros x Hx. pose proof (ranges_ok_spec B x pre l Hx (HV x Hx) 0 E1) as P.
      pose proof (width_spec pre B x Hx (HV x Hx)) as HL. rewrite <- E0 in HL. clear - P HL.
      revert P HL. generalize (arriving pre x) as z. induction l as [|n l IHl]; intros [|t z] P HL; try discriminate; constructor.
      - apply (P 0%nat n eq_refl).
      - apply IHl; [|simpl in HL; congruence]. intros k m Hm. apply (P (S k) m Hm). }
    destruct (IH _ _ _ H) as [V F].
    { intros x Hx; split; auto. apply (relax_spec l us _ E3 (HR x Hx)). }
    rewrite value_C_neurons in V, F.
    assert (map claim_value (map claims l) = map claimed (map neuron_value l)) as Ec
      by (rewrite !map_map; apply map_ext; auto).
    rewrite Ec in V, F. split; [|exact F]. split; [|split].
    + intros v (x & Hx & ->). specialize (HR x Hx). clear - HR. induction HR; constructor; auto.
    + pose proof (neurons_ok_spec l _ E2) as P. rewrite values_bounds in P. exact P.
    + eapply verified_mono; [|exact V]. intros v (u & (x & Hx & ->) & ->). exists x; split; auto.
      cbn [arriving]. symmetry. apply (relax_spec l us _ E3 (HR x Hx)).
Qed.

(** At the inputs there is no difference. *)
Lemma no_difference_spec B x : inside_box B x -> C_holds (state_value (no_difference (length B))) (minus x x).
Proof.
  intros Hx. unfold C_holds, no_difference, state_value, minus; cbn [fst snd].
  replace (length B) with (length x) by (clear - Hx; induction Hx; simpl; auto).
  assert (forall t, Rabs (t - t) <= 0) as H0 by (intros; rewrite Rminus_diag_eq, Rabs_R0 by reflexivity; lra).
  split; [|exists []; split; [constructor|]]; clear - H0; induction x as [|t x IH]; cbn; constructor; auto.
  - unfold within; rewrite value_0; auto.
  - unfold is_form; cbn. rewrite value_0. replace (t - t - 0) with (t - t) by ring; auto.
Qed.
(** What the checker says is true: [reference] is the network, [slnn] has polynomials for activations. *)
Theorem check_by_sound B net bounds : check_by B net bounds = true ->
  forall x, inside_box B x ->
  Forall2 (fun b d => Rabs d <= value b) bounds
    (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
Proof.
  intros H x Hx. destruct (check_from_spec B net [] _ _ H ltac:(intros; exact I)) as [V F].
  pose proof (propagation method_C (network_value net) _ _ V x x ltac:(exists x; auto) eq_refl) as P.
  assert (Forall2 within (values bounds) (minus (slnn (network_value net) x) (reference (network_value net) x))) as Q.
  { apply F, P. apply no_difference_spec; auto. }
  clear - Q. unfold minus in Q. revert Q. generalize (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
  induction bounds as [|b bounds IH]; intros D Q; inversion Q; subst; constructor; auto.
Qed.
End Checker.

(** Exactly. *)
Definition fuel := 30%nat.
Definition check := check_by (close fuel).
Theorem check_sound B net bounds : check B net bounds = true ->
  forall x, inside_box B x ->
  Forall2 (fun b d => Rabs d <= value b) bounds
    (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
Proof. apply check_by_sound. intros p a b q c d eps v; apply close_spec. Qed.
