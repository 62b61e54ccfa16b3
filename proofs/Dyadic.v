(** * Dyadic numbers, on which the checker computes

    m 2^e with integers m and e.  Sums, products and comparisons are exact: [value], what a dyadic
    number is as a real number, commutes with them, and with all that method C does. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Flocq Require Import Core.
From SLNN Require Import Propagation.
Import ListNotations.
Open Scope R_scope.

Record dyadic := Dyadic { mantissa : Z; exponent : Z }.
Definition value (x : dyadic) : R := IZR (mantissa x) * bpow radix2 (exponent x).

(** 2^-e times an integer, the same number. *)
Definition scaled (x : dyadic) (e : Z) : Z := Z.shiftl (mantissa x) (exponent x - e).
Definition dadd (x y : dyadic) : dyadic :=
  if (mantissa x =? 0)%Z then y else if (mantissa y =? 0)%Z then x else
  let e := Z.min (exponent x) (exponent y) in Dyadic (scaled x e + scaled y e) e.
Definition dmul (x y : dyadic) := Dyadic (mantissa x * mantissa y) (exponent x + exponent y).
Definition dopp (x : dyadic) := Dyadic (- mantissa x) (exponent x).
Definition dleb (x y : dyadic) := (0 <=? mantissa (dadd y (dopp x)))%Z.
Definition d0 := Dyadic 0 0.
Definition d1 := Dyadic 1 0.
Definition dyadics : numbers dyadic := Numbers dyadic d0 dadd dmul dopp dleb.
Definition dsub (x y : dyadic) := dadd x (dopp y).

Lemma scaled_value x e : (e <= exponent x)%Z -> IZR (scaled x e) * bpow radix2 e = value x.
Proof.
  intros H. unfold scaled, value. rewrite Z.shiftl_mul_pow2, mult_IZR by lia.
  change 2%Z with (radix_val radix2) at 1. rewrite IZR_Zpower by lia.
  rewrite Rmult_assoc, <- bpow_plus. do 2 f_equal; lia.
Qed.
Lemma value_add x y : value (dadd x y) = value x + value y.
Proof.
  unfold dadd. destruct (Z.eqb_spec (mantissa x) 0) as [E|_]; [unfold value at 2; rewrite E; lra|].
  destruct (Z.eqb_spec (mantissa y) 0) as [E|_]; [unfold value at 3; rewrite E; lra|].
  set (e := Z.min (exponent x) (exponent y)).
  rewrite <- (scaled_value x e), <- (scaled_value y e) by (unfold e; lia).
  unfold value; simpl. rewrite plus_IZR; ring.
Qed.
Lemma value_mul x y : value (dmul x y) = value x * value y.
Proof. unfold value; simpl. rewrite mult_IZR, bpow_plus; ring. Qed.
Lemma value_opp x : value (dopp x) = - value x.
Proof. unfold value; simpl. rewrite opp_IZR; ring. Qed.
Lemma value_sub x y : value (dsub x y) = value x - value y.
Proof. unfold dsub; rewrite value_add, value_opp; ring. Qed.
Lemma value_0 : value d0 = 0.
Proof. unfold value; simpl; ring. Qed.
Lemma value_1 : value d1 = 1.
Proof. unfold value; simpl; ring. Qed.
Lemma sign_value x : (0 <= mantissa x)%Z <-> 0 <= value x.
Proof.
  unfold value; pose proof (bpow_gt_0 radix2 (exponent x)); split; intros H'.
  - apply Rmult_le_pos; [apply IZR_le in H'; exact H'|lra].
  - apply le_IZR. nra.
Qed.
Lemma dleb_spec x y : dleb x y = true <-> value x <= value y.
Proof. unfold dleb; rewrite Z.leb_le, sign_value, value_add, value_opp; lra. Qed.
Lemma value_leb x y : dleb x y = Rleb (value x) (value y).
Proof.
  destruct (dleb x y) eqn:E, (Rleb (value x) (value y)) eqn:F; auto.
  - apply dleb_spec in E; apply Rleb_false in F; lra.
  - apply Rleb_true, dleb_spec in F; congruence.
Qed.

(** x rounded down to a multiple of 2^g; and something not below x that is one. *)
Definition floor (g : Z) (x : dyadic) :=
  if (g <=? exponent x)%Z then x else Dyadic (Z.shiftr (mantissa x) (g - exponent x)) g.
Definition unit (g : Z) := Dyadic 1 g.
Definition ceiling (g : Z) (x : dyadic) := if (g <=? exponent x)%Z then x else dadd (floor g x) (unit g).
Lemma floor_spec g x : value (floor g x) <= value x <= value (floor g x) + value (unit g).
Proof.
  pose proof (bpow_gt_0 radix2 g) as Hg.
  unfold floor, unit; destruct (Z.leb_spec g (exponent x)) as [H|H].
  - assert (0 <= value (Dyadic 1 g)) by (unfold value; simpl; lra). lra.
  - unfold value; simpl. rewrite Z.shiftr_div_pow2 by lia.
    set (k := (g - exponent x)%Z). pose proof (bpow_gt_0 radix2 (exponent x)) as He.
    replace (bpow radix2 g) with (IZR (2 ^ k) * bpow radix2 (exponent x)).
    2:{ change 2%Z with (radix_val radix2); rewrite IZR_Zpower by (unfold k; lia).
        rewrite <- bpow_plus; f_equal; unfold k; lia. }
    assert (0 < 2 ^ k)%Z as Hk by (apply Z.pow_pos_nonneg; unfold k; lia).
    pose proof (Z.div_mod (mantissa x) (2 ^ k)) as E. pose proof (Z.mod_pos_bound (mantissa x) (2 ^ k) Hk).
    assert (2 ^ k * (mantissa x / 2 ^ k) <= mantissa x <= 2 ^ k * (mantissa x / 2 ^ k) + 2 ^ k)%Z as [H1 H2] by lia.
    apply IZR_le in H1, H2. rewrite plus_IZR, !mult_IZR in *.
    split; [|]; rewrite <- ?Rmult_assoc; [|rewrite Rmult_1_l, <- Rmult_plus_distr_r]; apply Rmult_le_compat_r; lra.
Qed.
Lemma ceiling_spec g x : value x <= value (ceiling g x).
Proof.
  unfold ceiling; destruct (g <=? exponent x)%Z; [lra|]. rewrite value_add; apply floor_spec.
Qed.

(** ** Method C on dyadic numbers is method C on their values *)

Notation values := (map value).
Local Arguments joint : simpl never. Local Arguments minimum : simpl never.
Lemma value_maximum x y : value (maximum dyadics x y) = maximum reals (value x) (value y).
Proof. unfold maximum; simpl. rewrite value_leb; destruct (Rleb _ _); auto. Qed.
Lemma value_minimum x y : value (minimum dyadics x y) = minimum reals (value x) (value y).
Proof. unfold minimum; simpl. rewrite value_leb; destruct (Rleb _ _); auto. Qed.
Lemma value_size x : value (size dyadics x) = size reals (value x).
Proof. unfold size; rewrite value_maximum; simpl. rewrite value_opp; auto. Qed.
Lemma value_is_zero x : is_zero dyadics x = is_zero reals (value x).
Proof. unfold is_zero; simpl; rewrite !value_leb, value_0; auto. Qed.
Lemma values_size x : values (map (size dyadics) x) = map (size reals) (values x).
Proof. induction x; simpl; [auto|rewrite value_size, IHx; auto]. Qed.
Lemma values_mul a x : values (map (dmul a) x) = map (Rmult (value a)) (values x).
Proof. induction x; simpl; [auto|rewrite value_mul, IHx; auto]. Qed.
Lemma value_dot w x : value (dot dyadics w x) = dot reals (values w) (values x).
Proof. revert x; induction w; intros [|b x]; simpl; rewrite ?value_add, ?value_mul, ?value_0, ?IHw; auto. Qed.
Lemma value_dot_sizes w x : value (dot_sizes dyadics w x) = dot_sizes reals (values w) (values x).
Proof. unfold dot_sizes; rewrite value_dot, values_size; auto. Qed.
Lemma value_total x : value (total dyadics x) = total reals (values x).
Proof. induction x; simpl; rewrite ?value_add, ?value_0, ?IHx; auto. Qed.
Lemma values_plus x y : values (plus dyadics x y) = plus reals (values x) (values y).
Proof. revert y; induction x; intros [|b y]; simpl; rewrite ?value_add, ?IHx; auto. Qed.
Lemma values_combine w rows : values (combine_rows dyadics w rows) = combine_rows reals (values w) (map values rows).
Proof.
  revert rows; induction w as [|a w IH]; intros [|r rows]; simpl; auto.
  rewrite value_is_zero; destruct (is_zero reals (value a)); [auto|].
  rewrite values_plus, values_mul, IH; auto.
Qed.
Lemma values_products w own : values (products dyadics w own) = products reals (values w) (values own).
Proof. revert w; induction own; intros [|a' w]; simpl; rewrite ?value_mul, ?value_0, ?IHown; auto. Qed.

Definition claim_value (c : claim dyadic) : claim R :=
  Claim (value (low c)) (value (high c)) (value (interval_low c)) (value (interval_high c))
    (value (error c)) (value (slope_low c)) (value (slope_high c)) (value (middle c)).
Definition form_value (t : form dyadic) : form R := (values (fst t), value (snd t)).
Definition state_value (st : list (form dyadic) * list dyadic) := (map form_value (fst st), values (snd st)).

Lemma value_joint t : value (joint dyadics t) = joint reals (form_value t).
Proof. unfold joint; simpl add; rewrite value_add, value_total, values_size; auto. Qed.
Lemma values_bounds st : values (C_bounds dyadics st) = C_bounds reals (state_value st).
Proof.
  destruct st as [T e]; unfold C_bounds; simpl. revert e; induction T; intros [|x e]; simpl; auto.
  rewrite value_minimum, value_joint, IHT; auto.
Qed.
Lemma value_C_affine W st : state_value (C_affine dyadics W st) = C_affine reals (map values W) (state_value st).
Proof.
  destruct st as [T e]; unfold state_value, C_affine, B_affine; simpl; f_equal; rewrite !map_map; apply map_ext; intros w.
  - unfold form_value; simpl. rewrite map_app, values_products, values_combine, value_0, !map_map. reflexivity.
  - apply value_dot_sizes.
Qed.
Lemma value_C_neurons cs st :
  state_value (C_neurons dyadics cs st) = C_neurons reals (map claim_value cs) (state_value st).
Proof.
  destruct st as [T e]. pose proof (values_bounds (T, e)) as E.
  unfold C_neurons, state_value in *; simpl in *. f_equal.
  - rewrite <- E. clear E. generalize (C_bounds dyadics (T, e)) as ds. clear e.
    revert T; induction cs as [|c cs IH]; intros [|t T] [|d ds]; simpl; auto.
    rewrite IH. f_equal. unfold C_neuron, form_value; simpl. f_equal.
    + apply values_mul.
    + unfold spread, sub; simpl.
      rewrite !value_add, !value_mul, value_size, value_maximum, !value_add, !value_opp; auto.
  - unfold B_neurons. clear T E. revert e; induction cs as [|c cs IH]; intros [|x e]; simpl; auto.
    rewrite IH. f_equal. unfold steepest. rewrite value_add, value_mul, value_maximum, !value_size; auto.
Qed.
