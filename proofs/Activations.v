(** * Activations: values, slopes, lines below and above, pieces

    For each activation s that the checker knows, and an interval [l, u] of dyadic numbers:

      [pieces]  polynomials that describe s on pieces of the line, with how far they are from it;
      [slopes_within]  whether a (v - w) <= s(v) - s(w) <= b (v - w) for w <= v in [l, u];
      [below]   for a slope, an offset with slope t + offset <= s(t) on [l, u]; [above] likewise;
      [halves]  slopes a, b with s(t) = a t for t <= 0 and s(t) = b t for t >= 0, where there are such.

    identity, relu, leaky relu, abs and hard tanh are given exactly; tanh by its table, the logistic sigmoid as
    (1 + tanh(z/2)) / 2; softplus, ELU, SiLU, GELU and the sine by tables of themselves and of their derivatives. *)

From Coq Require Import Reals ZArith Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Tanh Smooth Exponential Gaussian Sine.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** Tables are not to be computed where terms are compared. *)
Local Strategy opaque [smooth_below smooth_above values_within elu_slopes_within
  tanh_pieces sigmoid_pieces softplus_pieces elu_pieces silu_pieces silu_slope_pieces gelu_pieces gelu_slope_pieces sin_pieces cos_pieces].

Inductive activation := Identity | Relu | Leaky_relu (slope : dyadic) | Abs | Hard_tanh | Tanh | Sigmoid
  | Softplus | Elu (alpha : dyadic) | Silu | Gelu | Sin.

Definition function (f : activation) (z : R) : R :=
  match f with
  | Identity => z
  | Relu => Rmax 0 z
  | Leaky_relu a => if Rle_dec 0 z then z else value a * z
  | Abs => Rabs z
  | Hard_tanh => Rmax (-1) (Rmin 1 z)
  | Tanh => tanh z
  | Sigmoid => sigmoid z
  | Softplus => softplus z
  | Elu a => elu (value a) z
  | Silu => silu z
  | Gelu => gelu z
  | Sin => sin z
  end.

(** Slopes of the two lines that meet at 0. *)
Definition halves (f : activation) : option (dyadic * dyadic) :=
  match f with
  | Identity => Some (d1, d1)
  | Relu => Some (d0, d1)
  | Leaky_relu a => Some (a, d1)
  | Abs => Some (dopp d1, d1)
  | _ => None
  end.
Lemma halves_spec f a b z : halves f = Some (a, b) ->
  (z <= 0 -> function f z = value a * z) /\ (0 <= z -> function f z = value b * z).
Proof.
  destruct f; simpl; intros H; inversion H; subst; rewrite ?value_opp, ?value_1, ?value_0; split; intros Hz; try lra.
  - rewrite Rmax_left; lra.
  - rewrite Rmax_right; lra.
  - destruct (Rle_dec 0 z); [|auto]. replace z with 0 by lra; ring.
  - destruct (Rle_dec 0 z); [lra|contradiction].
  - rewrite Rabs_left1; lra.
  - rewrite Rabs_right; lra.
Qed.

(** ** Pieces *)

Definition line (from to : option dyadic) (offset slope : dyadic) := Piece from to d0 [offset; slope] d0.
Definition pieces (f : activation) : list piece :=
  match f with
  | Tanh => tanh_pieces
  | Sigmoid => sigmoid_pieces
  | Softplus => softplus_pieces
  | Elu a => elu_pieces a
  | Silu => silu_pieces
  | Gelu => gelu_pieces
  | Sin => sin_pieces
  | Hard_tanh => [line None (Some (dopp d1)) (dopp d1) d0; line (Some (dopp d1)) (Some d1) d0 d1;
                  line (Some d1) None d1 d0]
  | _ => match halves f with
         | Some (a, b) => [line None (Some d0) d0 a; line (Some d0) None d0 b]
         | None => []
         end
  end.

Lemma line_value a b z : dpoly [a; b] z = value a + value b * z.
Proof. simpl; ring. Qed.
Lemma line_describes f a b from to : (forall z, after from z -> before z to -> f z = value a + value b * z) ->
  describes f (line from to a b).
Proof.
  intros H z [H1 H2]; simpl in H1, H2. unfold line; cbn [local base rest].
  rewrite line_value, value_0, Rminus_0_r, H, Rminus_diag_eq, Rabs_R0 by auto; lra.
Qed.
Theorem pieces_describe f : Forall (describes (function f)) (pieces f).
Proof.
  destruct f.
  1-5: cbn [pieces halves]; repeat apply Forall_cons; try apply Forall_nil; apply line_describes; simpl;
    intros z H1 H2; rewrite ?value_opp, ?value_0, ?value_1 in *.
  - lra. - lra.
  - rewrite Rmax_left; lra. - rewrite Rmax_right; lra.
  - destruct (Rle_dec 0 z); [replace z with 0 by lra|]; lra. - destruct (Rle_dec 0 z); lra.
  - rewrite Rabs_left1; lra. - rewrite Rabs_right; lra.
  - rewrite (Rmin_right 1 z), Rmax_left; lra.
  - rewrite (Rmin_right 1 z), Rmax_right; lra.
  - rewrite (Rmin_left 1 z), Rmax_right; lra.
  - exact tanh_described.
  - exact sigmoid_described.
  - exact softplus_described.
  - apply elu_described.
  - exact silu_described.
  - exact gelu_described.
  - exact sin_described.
Qed.
Theorem pieces_cover f : covers (pieces f).
Proof.
  assert (forall a b, covers [line None (Some d0) d0 a; line (Some d0) None d0 b]) as H2.
  { intros a b z; destruct (Rle_dec z 0); eexists; split; [left; reflexivity| |right; left; reflexivity|];
      split; simpl; rewrite ?value_0; lra. }
  destruct f; [apply H2|apply H2|apply H2|apply H2| | | | | | | |].
  - intros z; destruct (Rle_dec z (-1)); [|destruct (Rle_dec z 1)]; eexists; split.
    + left; reflexivity. + split; simpl; rewrite ?value_opp, ?value_1; lra.
    + right; left; reflexivity. + split; simpl; rewrite ?value_opp, ?value_1; lra.
    + right; right; left; reflexivity. + split; simpl; rewrite ?value_opp, ?value_1; lra.
  - exact tanh_covered.
  - exact sigmoid_covered.
  - exact softplus_covered.
  - apply elu_covered.
  - apply silu_covered.
  - apply gelu_covered.
  - exact sin_covered.
Qed.

(** ** Values of tanh at points *)

(** Where z is, tanh is between these two. *)
Definition tanh_at (z : dyadic) : dyadic * dyadic :=
  match at_point tanh_pieces z with Some t => t | None => (dopp d1, d1) end.
Lemma tanh_at_spec z : value (fst (tanh_at z)) <= tanh (value z) <= value (snd (tanh_at z)).
Proof.
  unfold tanh_at. destruct (at_point tanh_pieces z) as [[a b]|] eqn:E.
  - exact (at_point_spec tanh tanh_pieces z a b tanh_described E).
  - cbn [fst snd]. rewrite value_opp, value_1. pose proof (tanh_below_1 (value z)). nra.
Qed.

(** ** Slopes *)

Definition dsquare (x : dyadic) := dmul x x.

(** 1 - y^2 for y between a and b. *)
Definition slopes_between (a b : dyadic) : dyadic * dyadic :=
  (dsub d1 (dmax (dsquare a) (dsquare b)),
   if andb (dleb a d0) (dleb d0 b) then d1 else dsub d1 (dmin (dsquare a) (dsquare b))).
Definition tanh_slopes (l u : dyadic) := slopes_between (fst (tanh_at l)) (snd (tanh_at u)).
(** Where they can be computed. *)
Definition slopes (f : activation) (l u : dyadic) : option (dyadic * dyadic) :=
  match f with
  | Tanh => Some (tanh_slopes l u)
  | Sigmoid => let (a, b) := tanh_slopes (half l) (half u) in Some (half (half a), half (half b))
  | Hard_tanh => Some (
      if andb (dleb (dopp d1) l) (dleb u d1) then (d1, d1)
      else if orb (dleb u (dopp d1)) (dleb d1 l) then (d0, d0) else (d0, d1))
  | _ =>
      match halves f with
      | Some (a, b) => Some (if dleb d0 l then (b, b) else if dleb u d0 then (a, a) else (dmin a b, dmax a b))
      | None => None
      end
  end.
Definition slopes_within (f : activation) (l u lo hi : dyadic) : bool :=
  match slopes f l u with
  | Some (a, b) => if dleb lo a then dleb b hi else false
  | None =>
      match f with
      | Softplus => values_within sigmoid_pieces l u lo hi
      | Elu a => elu_slopes_within a l u lo hi
      | Silu => values_within silu_slope_pieces l u lo hi
      | Gelu => values_within gelu_slope_pieces l u lo hi
      | Sin => values_within cos_pieces l u lo hi
      | _ => false
      end
  end.

Lemma slopes_between_spec a b y : value a <= y <= value b ->
  value (fst (slopes_between a b)) <= 1 - y * y <= value (snd (slopes_between a b)).
Proof.
  intros Hy; unfold slopes_between, dsquare; cbn [fst snd]. rewrite value_sub, value_1.
  destruct (dmax_spec (dmul a a) (dmul b b)) as [H1 H2]. destruct (dmin_spec (dmul a a) (dmul b b)) as [H3 H4].
  rewrite !value_mul in *. split.
  - assert (y * y <= Rmax (value a * value a) (value b * value b)).
    { destruct (Rle_dec 0 y); [eapply Rle_trans; [|apply Rmax_r]|eapply Rle_trans; [|apply Rmax_l]]; nra. }
    assert (Rmax (value a * value a) (value b * value b) <= value (dmax (dmul a a) (dmul b b)))
      by (apply Rmax_lub; auto). lra.
  - destruct (dleb a d0) eqn:E1; [destruct (dleb d0 b) eqn:E2|]; cbn [andb]; rewrite ?value_sub, ?value_1.
    + nra.
    + assert (value b < 0).
      { apply Rnot_le_lt; intros H. assert (dleb d0 b = true) by (apply dleb_spec; rewrite value_0; auto). congruence. }
      nra.
    + assert (0 < value a).
      { apply Rnot_le_lt; intros H. assert (dleb a d0 = true) by (apply dleb_spec; rewrite value_0; auto). congruence. }
      nra.
Qed.
Lemma tanh_slopes_spec l u :
  slope_bounds tanh (value l) (value u) (value (fst (tanh_slopes l u))) (value (snd (tanh_slopes l u))).
Proof.
  intros v w Hv Hw H.
  assert (forall t, w <= t <= v ->
    value (fst (tanh_slopes l u)) <= 1 - tanh t * tanh t <= value (snd (tanh_slopes l u))) as S.
  { intros t Ht. pose proof (tanh_at_spec l); pose proof (tanh_at_spec u).
    pose proof (increasing_tanh (value l) t ltac:(lra)); pose proof (increasing_tanh t (value u) ltac:(lra)).
    apply (slopes_between_spec (fst (tanh_at l)) (snd (tanh_at u))); lra. }
  split; [apply (mean_value_low tanh _ w v _ H (fun t _ => tanh_derivative t))
         |apply (mean_value_high tanh _ w v _ H (fun t _ => tanh_derivative t))]; intros t Ht; apply S; auto.
Qed.

Lemma two_lines f a b : (forall z, z <= 0 -> f z = a * z) -> (forall z, 0 <= z -> f z = b * z) ->
  forall l u, (0 <= l -> slope_bounds f l u b b) /\ (u <= 0 -> slope_bounds f l u a a) /\
  forall m M, m <= a -> m <= b -> a <= M -> b <= M -> slope_bounds f l u m M.
Proof.
  intros Ha Hb l u. split; [|split].
  - intros Hl v w Hv Hw H. rewrite !Hb by lra. lra.
  - intros Hu v w Hv Hw H. rewrite !Ha by lra. lra.
  - intros m M H1 H2 H3 H4 v w Hv Hw H. destruct (Rle_dec 0 w); [|destruct (Rle_dec v 0)].
    + rewrite !Hb by lra. nra.
    + rewrite !Ha by lra. nra.
    + rewrite (Hb v), (Ha w) by lra. nra.
Qed.
Lemma hard_tanh_slopes v w : w <= v -> 0 <= function Hard_tanh v - function Hard_tanh w <= v - w.
Proof. intros H; simpl; unfold Rmax, Rmin; repeat destruct (Rle_dec _ _); lra. Qed.

Lemma slopes_spec f l u a b : slopes f l u = Some (a, b) ->
  slope_bounds (function f) (value l) (value u) (value a) (value b).
Proof.
  destruct (halves f) as [[a' b']|] eqn:E.
  - assert (slopes f l u = Some (if dleb d0 l then (b', b') else if dleb u d0 then (a', a') else (dmin a' b', dmax a' b'))) as ->
      by (destruct f; try discriminate; cbn [halves] in E; injection E as <- <-; reflexivity).
    destruct (two_lines (function f) (value a') (value b') (fun z => proj1 (halves_spec f a' b' z E))
      (fun z => proj2 (halves_spec f a' b' z E)) (value l) (value u)) as (H1 & H2 & H3).
    destruct (dleb d0 l) eqn:El; [|destruct (dleb u d0) eqn:Eu]; intros Hs; injection Hs as <- <-.
    + apply H1; apply dleb_spec in El; rewrite value_0 in El; auto.
    + apply H2; apply dleb_spec in Eu; rewrite value_0 in Eu; auto.
    + destruct (dmin_spec a' b'); destruct (dmax_spec a' b'). apply H3; auto.
  - destruct f; try discriminate; cbn [slopes].
    + destruct (andb (dleb (dopp d1) l) (dleb u d1)) eqn:E1;
        [|destruct (orb (dleb u (dopp d1)) (dleb d1 l)) eqn:E2]; intros Hs; injection Hs as <- <-;
        intros v w Hv Hw H; pose proof (hard_tanh_slopes v w H) as HH; revert HH;
        rewrite ?value_0, ?value_1; simpl.
      * apply andb_prop in E1 as [E1 E3]; apply dleb_spec in E1, E3.
        rewrite value_opp, value_1 in E1; rewrite value_1 in E3.
        unfold Rmax, Rmin; repeat destruct (Rle_dec _ _); lra.
      * apply Bool.orb_prop in E2 as [E2|E2]; apply dleb_spec in E2; rewrite ?value_opp, value_1 in E2;
          unfold Rmax, Rmin; repeat destruct (Rle_dec _ _); lra.
      * lra.
    + pose proof (tanh_slopes_spec l u) as H. intros Hs. assert (tanh_slopes l u = (a, b)) as Et by congruence. rewrite Et in H. exact H.
    + pose proof (tanh_slopes_spec (half l) (half u)) as H. destruct (tanh_slopes (half l) (half u)) as [a' b'].
      intros Hs; injection Hs as <- <-.
      cbn [fst snd] in *. rewrite !half_value in *. intros v w Hv Hw Hvw.
      specialize (H (v / 2) (w / 2) ltac:(lra) ltac:(lra) ltac:(lra)). simpl. rewrite !sigmoid_tanh. lra.
Qed.
Theorem slopes_within_sound f l u lo hi : slopes_within f l u lo hi = true ->
  slope_bounds (function f) (value l) (value u) (value lo) (value hi).
Proof.
  unfold slopes_within. destruct (slopes f l u) as [[a b]|] eqn:E.
  - destruct (dleb lo a) eqn:E1; [|discriminate]. intros E2. apply dleb_spec in E1, E2.
    intros v w Hv Hw Hvw. pose proof (slopes_spec f l u a b E v w Hv Hw Hvw). nra.
  - destruct f; try discriminate E.
    + apply (slopes_within_spec softplus sigmoid); auto using sigmoid_described, sigmoid_covered, softplus_derivative.
    + apply elu_slopes_spec.
    + apply (slopes_within_spec silu silu_slope); auto using silu_slope_described, silu_derivative. apply silu_covered.
    + apply (slopes_within_spec gelu gelu_slope); auto using gelu_slope_described, gelu_derivative. apply gelu_covered.
    + apply (slopes_within_spec sin cos); auto using cos_described, cos_covered.
      intros t _. apply is_derive_Reals, derivable_pt_lim_sin.
Qed.

(** ** Lines below and above *)

(** On the pieces that are lines: the least of the values at their ends. *)
Fixpoint least_over (ps : list piece) (l u a : dyadic) : option dyadic :=
  match ps with
  | [] => Some (Dyadic 1 1000)
  | p :: ps' =>
      let (x, y) := (clip_low p l, clip_high p u) in
      if dleb x y then
        match local p with
        | [c; b] =>
            let at_ z := dsub (dsub (dadd c (dmul b (dsub z (base p)))) (dmul a z)) (rest p) in
            match least_over ps' l u a with Some m => Some (dmin m (dmin (at_ x) (at_ y))) | None => None end
        | _ => None
        end
      else least_over ps' l u a
  end.
Lemma least_over_spec f ps l u a m : Forall (describes f) ps -> least_over ps l u a = Some m ->
  forall t, value l <= t <= value u -> (exists p, In p ps /\ in_piece p t) -> value a * t + value m <= f t.
Proof.
  intros H; revert m; induction H as [|p ps Hp H IH]; intros m Hm t Ht (q & Hq & Hqt); [contradiction|].
  cbn [least_over] in Hm. set (x := clip_low p l) in *; set (y := clip_high p u) in *.
  pose proof (clip_spec p l u t Ht) as Hxy; fold x y in Hxy.
  destruct (dleb x y) eqn:E.
  - destruct (local p) as [|c [|b [|]]] eqn:El; try discriminate.
    destruct (least_over ps l u a) as [m'|]; [|discriminate]. injection Hm as <-.
    match goal with |- _ + value (dmin ?a1 (dmin ?a2 ?a3)) <= _ =>
      destruct (dmin_spec a1 (dmin a2 a3)) as [M1 M2]; destruct (dmin_spec a2 a3) as [M3 M4] end.
    destruct Hq as [<-|Hq]; [|specialize (IH _ eq_refl t Ht (ex_intro _ q (conj Hq Hqt))); lra].
    specialize (Hxy Hqt). specialize (Hp t Hqt). rewrite El, line_value in Hp.
    rewrite !value_sub, !value_add, !value_mul, !value_sub in *.
    assert (value c + value b * (t - value (base p)) - value (rest p) <= f t)
      by (revert Hp; unfold Rabs; destruct (Rcase_abs _); lra).
    destruct (Rle_dec 0 (value b - value a)); nra.
  - apply IH; auto. destruct Hq as [<-|Hq]; [|exists q; auto].
    specialize (Hxy Hqt). assert (dleb x y = true) by (apply dleb_spec; lra). congruence.
Qed.
(** tanh t - a t on [l, u]: at the ends where tanh is concave, by the tangent at c where it is convex. *)
Definition tanh_below (a c l u : dyadic) : dyadic :=
  let at_ z := dsub (fst (tanh_at z)) (dmul a z) in
  let concave := let l' := dmax l d0 in if dleb l' u then dmin (at_ l') (at_ u) else at_ u in
  let u' := dmin u d0 in
  if dleb l u' then
    let c' := dmin (dmax c l) u' in
    let (y, g) := (tanh_at c', at_ c') in
    let (s0, s1) := slopes_between (fst y) (snd y) in
    let tangent z := dadd g (dmin (dmul (dsub s0 a) (dsub z c')) (dmul (dsub s1 a) (dsub z c'))) in
    let convex := dmin (tangent l) (tangent u') in
    if dleb d0 u then dmin convex concave else convex
  else concave.

Lemma concave_tanh a l u t : 0 <= l -> l <= t <= u ->
  tanh l - a * l <= tanh t - a * t \/ tanh u - a * u <= tanh t - a * t.
Proof.
  intros Hl Ht. set (k := 1 - tanh t * tanh t).
  destruct (Rle_dec a k) as [Ha|Ha]; [left|right].
  - pose proof (mean_value_low tanh _ l t k ltac:(lra) (fun x _ => tanh_derivative x)) as P.
    specialize (P ltac:(intros x Hx; unfold k; pose proof (increasing_tanh 0 x ltac:(lra));
      pose proof (increasing_tanh x t ltac:(lra)); rewrite tanh_0 in *; nra)). nra.
  - pose proof (mean_value_high tanh _ t u k ltac:(lra) (fun x _ => tanh_derivative x)) as P.
    specialize (P ltac:(intros x Hx; unfold k; pose proof (increasing_tanh 0 t ltac:(lra));
      pose proof (increasing_tanh t x ltac:(lra)); rewrite tanh_0 in *; nra)). nra.
Qed.
Lemma convex_tanh c t : c <= 0 -> t <= 0 -> tanh c + (1 - tanh c * tanh c) * (t - c) <= tanh t.
Proof.
  intros Hc Ht. destruct (Rle_dec c t) as [H|H].
  - pose proof (mean_value_low tanh _ c t (1 - tanh c * tanh c) H (fun x _ => tanh_derivative x)) as P.
    specialize (P ltac:(intros x Hx; pose proof (increasing_tanh c x ltac:(lra));
      pose proof (increasing_tanh x 0 ltac:(lra)); rewrite tanh_0 in *; nra)). lra.
  - pose proof (mean_value_high tanh _ t c (1 - tanh c * tanh c) ltac:(lra) (fun x _ => tanh_derivative x)) as P.
    specialize (P ltac:(intros x Hx; pose proof (increasing_tanh x c ltac:(lra));
      pose proof (increasing_tanh c 0 ltac:(lra)); rewrite tanh_0 in *; nra)). lra.
Qed.
Lemma between_products s s0 s1 d : s0 <= s <= s1 -> s0 * d <= s * d \/ s1 * d <= s * d.
Proof. intros H; destruct (Rle_dec 0 d); [left|right]; nra. Qed.
Lemma between_ends g k x y t c : x <= t <= y -> g + k * (x - c) <= g + k * (t - c) \/ g + k * (y - c) <= g + k * (t - c).
Proof. intros H; destruct (Rle_dec 0 k); [left|right]; nra. Qed.

Lemma tanh_below_spec a c l u : value l <= value u ->
  under tanh (value l) (value u) (value a) (value (tanh_below a c l u)).
Proof.
  intros Hlu t Ht.
  set (at_ := fun z => dsub (fst (tanh_at z)) (dmul a z)).
  assert (forall z, value (at_ z) <= tanh (value z) - value a * value z) as Hat.
  { intros z; unfold at_. rewrite value_sub, value_mul. pose proof (tanh_at_spec z); lra. }
  set (l' := dmax l d0). set (u' := dmin u d0).
  set (concave := if dleb l' u then dmin (at_ l') (at_ u) else at_ u).
  set (c' := dmin (dmax c l) u').
  set (tangent := fun s0 s1 z => dadd (at_ c') (dmin (dmul (dsub s0 a) (dsub z c')) (dmul (dsub s1 a) (dsub z c')))).
  change (value a * t + value (if dleb l u' then
      let (s0, s1) := slopes_between (fst (tanh_at c')) (snd (tanh_at c')) in
      let convex := dmin (tangent s0 s1 l) (tangent s0 s1 u') in if dleb d0 u then dmin convex concave else convex
    else concave) <= tanh t).
  destruct (dmax_spec l d0) as [L1 L2]; destruct (dmin_spec u d0) as [U1 U2]; fold l' in L1, L2; fold u' in U1, U2.
  rewrite value_0 in *.
  assert (0 <= t -> value a * t + value concave <= tanh t) as Hconcave.
  { intros H0. assert (value l' <= t) as Hl'.
    { unfold l', dmax; rewrite value_maximum, value_0. destruct (maximum_spec (value l) 0) as (_ & _ & [->| ->]); lra. }
    unfold concave. assert (dleb l' u = true) as -> by (apply dleb_spec; lra).
    destruct (dmin_spec (at_ l') (at_ u)) as [M1 M2]. pose proof (Hat l'); pose proof (Hat u).
    destruct (concave_tanh (value a) (value l') (value u) t L2 ltac:(lra)); lra. }
  destruct (dleb l u') eqn:E.
  - apply dleb_spec in E. destruct (slopes_between (fst (tanh_at c')) (snd (tanh_at c'))) as [s0 s1] eqn:Es.
    cbv zeta.
    destruct (dmin_spec (tangent s0 s1 l) (tangent s0 s1 u')) as [T1 T2].
    assert (t <= 0 -> value a * t + value (dmin (tangent s0 s1 l) (tangent s0 s1 u')) <= tanh t) as Hconvex.
    { intros H0. assert (t <= value u') as Hu'.
      { unfold u', dmin; rewrite value_minimum, value_0. destruct (minimum_spec (value u) 0) as (_ & _ & [->| ->]); lra. }
      assert (value c' <= 0) as Hc' by (unfold c'; destruct (dmin_spec (dmax c l) u'); lra).
      pose proof (convex_tanh (value c') t Hc' H0) as HT. pose proof (Hat c') as Hc.
      pose proof (slopes_between_spec _ _ _ (tanh_at_spec c')) as HS. rewrite Es in HS; cbn [fst snd] in HS.
      set (k := 1 - tanh (value c') * tanh (value c')) in *.
      assert (forall z, value (tangent s0 s1 z) <= value (at_ c') + (k - value a) * (value z - value c')) as HZ.
      { intros z; unfold tangent. rewrite value_add.
        match goal with |- _ + value (dmin ?x ?y) <= _ => destruct (dmin_spec x y) as [M1 M2] end.
        rewrite !value_mul, !value_sub in *.
        destruct (between_products (k - value a) (value s0 - value a) (value s1 - value a) (value z - value c'));
          lra. }
      pose proof (HZ l); pose proof (HZ u').
      destruct (between_ends (value (at_ c')) (k - value a) (value l) (value u') t (value c') ltac:(lra)); lra. }
    destruct (dleb d0 u) eqn:E0.
    + destruct (dmin_spec (dmin (tangent s0 s1 l) (tangent s0 s1 u')) concave) as [M1 M2].
      destruct (Rle_dec 0 t) as [H0|H0]; [specialize (Hconcave H0)|specialize (Hconvex ltac:(lra))]; lra.
    + apply Hconvex. apply Rnot_lt_le; intros H0.
      assert (dleb d0 u = true) by (apply dleb_spec; rewrite value_0; lra). congruence.
  - apply Hconcave. apply Rnot_lt_le; intros H0.
    assert (dleb l u' = true); [|congruence]. apply dleb_spec. unfold u', dmin; rewrite value_minimum, value_0.
    destruct (minimum_spec (value u) 0) as (_ & _ & [->| ->]); lra.
Qed.

(** Where SiLU and GELU are least, and where after l the sine next is -1, or 1: about. *)
Definition silu_lowest := Dyadic (-1473969264226601855) (-60).
Definition gelu_lowest := Dyadic (-866756615800379887) (-60).
Definition next_extreme (quarter : Z) (l : dyadic) : dyadic :=
  let pi := 3708937962535486895300%Z in (* 2^70 times pi *)
  let first := (quarter * pi / 2)%Z in
  let turns := ((scaled l (-70) - first + 2 * pi) / (2 * pi))%Z in
  Dyadic (first + turns * (2 * pi)) (-70).
Definition touching (f : activation) (quarter : Z) (a c l : dyadic) : dyadic :=
  if (mantissa a =? 0)%Z then
    match f with Silu => silu_lowest | Gelu => gelu_lowest | Sin => next_extreme quarter l | _ => c end
  else c.
(** Offsets of lines of slope a; c says where the line touches, if that is of use. *)
Definition below (f : activation) (a c l u : dyadic) : option dyadic :=
  match f with
  | Tanh => Some (tanh_below a c l u)
  | Sigmoid =>
      let four_a := Dyadic (mantissa a) (exponent a + 2) in
      Some (half (dadd d1 (tanh_below four_a (half c) (half l) (half u))))
  | Softplus | Elu _ | Silu | Gelu | Sin => smooth_below (pieces f) a (touching f (-1) a c l) l u
  | _ => least_over (pieces f) l u a
  end.
Definition above (f : activation) (a c l u : dyadic) : option dyadic :=
  match f with
  | Tanh => Some (dopp (tanh_below a (dopp c) (dopp u) (dopp l)))
  | Sigmoid =>
      let four_a := Dyadic (mantissa a) (exponent a + 2) in
      Some (half (dsub d1 (tanh_below four_a (half (dopp c)) (half (dopp u)) (half (dopp l)))))
  | Softplus | Elu _ | Silu | Gelu | Sin => smooth_above (pieces f) a (touching f 1 a c l) l u
  | _ => match least_over (map negated (pieces f)) l u (dopp a) with Some m => Some (dopp m) | None => None end
  end.

Lemma four_value a : value (Dyadic (mantissa a) (exponent a + 2)) = 4 * value a.
Proof. unfold value; simpl. rewrite bpow_plus. replace (bpow radix2 2) with 4 by (simpl; auto). ring. Qed.

Theorem below_spec f a c l u m : value l <= value u -> below f a c l u = Some m ->
  under (function f) (value l) (value u) (value a) (value m).
Proof.
  intros Hlu H.
  assert (least_over (pieces f) l u a = Some m -> under (function f) (value l) (value u) (value a) (value m)) as HP.
  { intros E t Ht. apply (least_over_spec (function f) (pieces f) l u a m (pieces_describe f) E t Ht).
    apply pieces_cover. }
  assert (smooth_below (pieces f) a (touching f (-1) a c l) l u = Some m -> under (function f) (value l) (value u) (value a) (value m)) as HS
    by (apply smooth_below_spec with (c := touching f (-1) a c l); [apply pieces_describe|apply pieces_cover]).
  destruct f; cbn [below] in H; [exact (HP H)|exact (HP H)|exact (HP H)|exact (HP H)|exact (HP H)| | |
    exact (HS H)|exact (HS H)|exact (HS H)|exact (HS H)|exact (HS H)]; clear HP HS; injection H as <-.
  - apply tanh_below_spec; auto.
  - intros t Ht. simpl function. rewrite sigmoid_tanh, half_value, value_add, value_1.
    set (a' := Dyadic (mantissa a) (exponent a + 2)).
    pose proof (tanh_below_spec a' (half c) (half l) (half u)) as P. rewrite !half_value in P.
    specialize (P ltac:(lra) (t / 2) ltac:(lra)). unfold a' in P at 1. rewrite four_value in P. lra.
Qed.
Theorem above_spec f a c l u m : value l <= value u -> above f a c l u = Some m ->
  forall t, value l <= t <= value u -> function f t <= value a * t + value m.
Proof.
  intros Hlu H t Ht.
  assert (match least_over (map negated (pieces f)) l u (dopp a) with Some m => Some (dopp m) | None => None end
    = Some m -> function f t <= value a * t + value m) as HP.
  { destruct (least_over (map negated (pieces f)) l u (dopp a)) as [m'|] eqn:E; [|discriminate].
    intros Hm; injection Hm as <-. rewrite value_opp.
    assert (Forall (describes (fun z => - function f z)) (map negated (pieces f))) as HD.
    { apply Forall_forall; intros p Hp; apply in_map_iff in Hp as (q & <- & Hq). apply describes_negated.
      pose proof (pieces_describe f) as D; rewrite Forall_forall in D; auto. }
    pose proof (least_over_spec _ _ l u (dopp a) m' HD E t Ht) as P. rewrite value_opp in P.
    destruct (pieces_cover f t) as (p & Hp & Hpt).
    specialize (P (ex_intro _ (negated p) (conj (in_map negated _ _ Hp) Hpt))). lra. }
  assert (smooth_above (pieces f) a (touching f 1 a c l) l u = Some m -> function f t <= value a * t + value m) as HS
    by (intros E; apply (smooth_above_spec (function f) (pieces f) a (touching f 1 a c l) l u m); auto using pieces_describe, pieces_cover).
  destruct f; cbn [above] in H; [exact (HP H)|exact (HP H)|exact (HP H)|exact (HP H)|exact (HP H)| | |
    exact (HS H)|exact (HS H)|exact (HS H)|exact (HS H)|exact (HS H)]; clear HP HS; injection H as <-.
  - pose proof (tanh_below_spec a (dopp c) (dopp u) (dopp l)) as P. rewrite !value_opp in P.
    specialize (P ltac:(lra) (- t) ltac:(lra)). rewrite tanh_odd in P. rewrite value_opp; simpl function. lra.
  - simpl function. rewrite sigmoid_tanh, half_value, value_sub, value_1.
    set (a' := Dyadic (mantissa a) (exponent a + 2)).
    pose proof (tanh_below_spec a' (half (dopp c)) (half (dopp u)) (half (dopp l))) as P.
    rewrite !half_value, !value_opp in P. specialize (P ltac:(lra) (- t / 2) ltac:(lra)).
    replace (- t / 2) with (- (t / 2)) in P by field. rewrite tanh_odd in P.
    unfold a' in P at 1. rewrite four_value in P. lra.
Qed.

(** ** Whether |p - s| <= error on [l, u], p a polynomial in t = (z - centre) scale *)

(** By a test of whether polynomials p(a + b v) and q(c + d v) are within eps on [0, 1]. *)
Definition test := list dyadic -> dyadic -> dyadic -> list dyadic -> dyadic -> dyadic -> dyadic -> bool.
Definition right_test (are_close : test) := forall p a b q c d eps v, are_close p a b q c d eps = true -> 0 <= v <= 1 ->
  Rabs (dpoly p (value a + value b * v) - dpoly q (value c + value d * v)) <= value eps.
Fixpoint error_within (are_close : test) (q : list dyadic) (centre scale l u error : dyadic) (ps : list piece) : bool :=
  match ps with
  | [] => true
  | p :: ps' =>
      let (x, y) := (clip_low p l, clip_high p u) in
      if dleb x y then
        let w := dsub y x in
        if are_close q (dmul (dsub x centre) scale) (dmul w scale) (local p) (dsub x (base p)) w (dsub error (rest p))
        then error_within are_close q centre scale l u error ps' else false
      else error_within are_close q centre scale l u error ps'
  end.
Theorem error_within_spec are_close q centre scale l u error f ps : right_test are_close -> Forall (describes f) ps ->
  covers ps -> error_within are_close q centre scale l u error ps = true ->
  forall z, value l <= z <= value u -> Rabs (dpoly q ((z - value centre) * value scale) - f z) <= value error.
Proof.
  intros right H HC HE z Hz. destruct (HC z) as (p & Hp & Hpz). clear HC.
  induction H as [|p' ps Hd H IH]; [contradiction|]. cbn [error_within] in HE.
  pose proof (clip_spec p' l u z Hz) as Hxy. set (x := clip_low p' l) in *; set (y := clip_high p' u) in *.
  destruct (dleb x y) eqn:E.
  - match type of HE with (if ?c then _ else _) = _ => destruct c eqn:EC; [|discriminate] end.
    destruct Hp as [->|Hp]; [|apply IH; auto]. specialize (Hxy Hpz). specialize (Hd z Hpz).
    destruct (place (value x) (value y) z Hxy) as (v & Hv & Ez).
    pose proof (right _ _ _ _ _ _ _ v EC Hv) as P. rewrite !value_mul, !value_sub in P.
    replace ((value x - value centre) * value scale + (value y - value x) * value scale * v)
      with ((z - value centre) * value scale) in P by (rewrite Ez; ring).
    replace (value x - value (base p) + (value y - value x) * v) with (z - value (base p)) in P by (rewrite Ez; ring).
    revert P Hd; unfold Rabs; repeat destruct (Rcase_abs _); lra.
  - destruct Hp as [->|Hp]; [|apply IH; auto]. specialize (Hxy Hpz).
    assert (dleb x y = true) by (apply dleb_spec; lra). congruence.
Qed.
