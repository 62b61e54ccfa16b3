(** * Methods C2 and D: both networks as linear forms of the inputs, over the parts of a divided box

    THEOREM (divided_by_sound).  Let a checker have confirmed all claims of a certificate but its bounds
    ([check_by]), and

      - of every neuron bands, |s(z) - lambda z - mu| <= delta and |p(z) - s(z) - alpha z - beta| <= gamma
        on intervals that follow each other without gaps over the range of the neuron, or its interval;
      - that splits divide the box into parts and leave out none; and
      - on each part the bounds, by method C2 (below) or by method C over the whole box.

    Then at every point of the box the two networks differ by at most the bounds.

    Method C2.  On a part the pre-activation z of the network and the difference D = z' - z of the SLNN's
    from it are near linear forms c + sum_k g_k eta_k in the same numbers |eta_k| <= 1, first of all the
    inputs.  An affine layer maps both.  Behind a neuron with slopes M between z and z', c in M,

      s(z) = lambda z + mu, at most delta beside it;
      p(z') - s(z) = alpha z' + beta + c D, at most gamma + max |M - c| |D| beside it,

    with bands over what z and z' can be; where M are slopes of p, alpha z + beta takes the place of
    alpha z' + beta, and the band is one over what z can be.  What is beside a form becomes a number
    eta of its own in the next affine layer. *)

From Coq Require Import Reals ZArith Lra Lia Psatz Bool.
From Coquelicot Require Import Rcomplements.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein Smooth Exponential Gaussian Sine Activations Linear Checker.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** Bands *)

(** |f(z) - slope z - offset| <= radius for z from [start] to [stop]. *)
Record band := Band { start : dyadic; stop : dyadic; slope : dyadic; offset : dyadic; radius : dyadic }.
Definition in_band (b : band) (z : R) := value (start b) <= z <= value (stop b).
Definition off (f : R -> R) (b : band) (z : R) := f z - (value (slope b) * z + value (offset b)).
Definition true_of (f : R -> R) (b : band) := forall z, in_band b z -> Rabs (off f b z) <= value (radius b).

(** The function and the line together. *)
Definition tilted (b : band) (p : piece) : piece :=
  Piece (from p) (to p) (base p)
    (plus dyadics [dadd (offset b) (dmul (slope b) (base p)); slope b] (local p)) (rest p).
Lemma tilted_describes b f p : describes f p ->
  describes (fun z => f z + (value (slope b) * z + value (offset b))) (tilted b p).
Proof.
  intros H z Hz. specialize (H z Hz). unfold tilted; cbn [local base rest].
  rewrite dpoly_plus, line_value, value_add, value_mul.
  match goal with |- Rabs ?x <= _ => replace x with (f z - dpoly (local p) (z - value (base p))) by ring end. exact H.
Qed.

(** Whether polynomials are close is decided by any right test, as in Checker.v. *)
Section Division.
Variable are_close : test.
Hypothesis are_close_right : right_test are_close.

(** Whether the band is one of the activation; of the polynomial less the activation. *)
Definition value_band (f : activation) (b : band) : bool :=
  error_within are_close [offset b; slope b] d0 d1 (start b) (stop b) (radius b) (pieces f).
Definition residual_band (f : activation) (q : list dyadic) (centre scale : dyadic) (b : band) : bool :=
  error_within are_close q centre scale (start b) (stop b) (radius b) (map (tilted b) (pieces f)).
Lemma value_band_spec f b : value_band f b = true -> true_of (function f) b.
Proof.
  intros H z Hz. pose proof (error_within_spec _ _ _ _ _ _ _ _ _ are_close_right (pieces_describe f) (pieces_cover f) H z Hz) as P.
  rewrite line_value, value_0, value_1, Rminus_0_r, Rmult_1_r in P.
  unfold off. rewrite Rabs_minus_sym. replace (value (slope b) * z + value (offset b)) with (value (offset b) + value (slope b) * z) by ring.
  exact P.
Qed.
Lemma residual_band_spec f q c s b : residual_band f q c s b = true ->
  true_of (fun z => dpoly q ((z - value c) * value s) - function f z) b.
Proof.
  intros H z Hz.
  assert (covers (map (tilted b) (pieces f))) as HC.
  { intros t. destruct (pieces_cover f t) as (p & Hp & Ht). exists (tilted b p); split; [apply in_map|]; auto. }
  assert (Forall (describes (fun z => function f z + (value (slope b) * z + value (offset b)))) (map (tilted b) (pieces f))) as HD.
  { apply Forall_forall; intros p Hp; apply in_map_iff in Hp as (p' & <- & Hp'). apply tilted_describes.
    pose proof (pieces_describe f) as D; rewrite Forall_forall in D; auto. }
  pose proof (error_within_spec _ _ _ _ _ _ _ _ _ are_close_right HD HC H z Hz) as P. unfold off.
  match goal with |- Rabs ?x <= _ => match type of P with Rabs ?y <= _ => replace x with y by ring end end. exact P.
Qed.

(** Whether bands follow each other without gaps from l to u. *)
Fixpoint cover (l u : dyadic) (bs : list band) : bool :=
  match bs with
  | [] => false
  | b :: bs' => if dleb (start b) l then if dleb u (stop b) then true else cover (stop b) u bs' else false
  end.
Lemma cover_spec l u bs z : cover l u bs = true -> value l <= z <= value u -> exists b, In b bs /\ in_band b z.
Proof.
  revert l; induction bs as [|b bs IH]; intros l H Hz; cbn [cover] in H; [discriminate|].
  destruct (dleb (start b) l) eqn:E1; [|discriminate]. apply dleb_spec in E1.
  destruct (Rle_dec z (value (stop b))) as [Hs|Hs].
  - exists b; split; [left; auto|]. split; lra.
  - destruct (dleb u (stop b)) eqn:E2; [apply dleb_spec in E2; lra|].
    destruct (IH _ H ltac:(lra)) as (b' & Hb & Hz'). exists b'; split; [right; auto|auto].
Qed.

(** One band over [lo, hi] from those that meet it: with their one line, else along the chord or horizontal. *)
Definition meets (lo hi : dyadic) (b : band) := if dleb (start b) hi then dleb lo (stop b) else false.
Fixpoint hull_along (a lo hi : dyadic) (bs : list band) : dyadic * dyadic :=
  match bs with
  | [] => (d0, d0)
  | b :: bs' =>
      let tilt := dsub (slope b) a in
      let x := dmul tilt (dmax (start b) lo) in
      let y := dmul tilt (dmin (stop b) hi) in
      let least := dsub (dadd (dmin x y) (offset b)) (radius b) in
      let most := dadd (dadd (dmax x y) (offset b)) (radius b) in
      match bs' with
      | [] => (least, most)
      | _ => let (least', most') := hull_along a lo hi bs' in (dmin least least', dmax most most')
      end
  end.
Definition along_slope (a lo hi : dyadic) (bs : list band) : dyadic * dyadic * dyadic :=
  let (least, most) := hull_along a lo hi bs in (a, half (dadd least most), half (dsub most least)).
(** About x / y. *)
Definition quotient (x y : dyadic) : dyadic :=
  Dyadic (Z.div (Z.shiftl (mantissa x) 64) (mantissa y)) (exponent x - exponent y - 64).
Definition chord (lo hi : dyadic) (bs : list band) : dyadic :=
  let at_ b z := dadd (dmul (slope b) z) (offset b) in
  match bs with
  | b :: _ => quotient (floor (-100) (dsub (at_ (last bs b) hi) (at_ b lo))) (dsub hi lo)
  | [] => d0
  end.
Definition line_over (bs : list band) (lo hi : dyadic) : option (dyadic * dyadic * dyadic) :=
  match filter (meets lo hi) bs with
  | [] => None
  | [b] => Some (slope b, offset b, radius b)
  | met =>
      let level := along_slope d0 lo hi met in
      let tilted := along_slope (chord lo hi met) lo hi met in
      Some (if dleb (snd tilted) (snd level) then tilted else level)
  end.

Lemma hull_along_spec f a lo hi bs z b : Forall (true_of f) bs -> In b bs -> in_band b z -> value lo <= z <= value hi ->
  value (fst (hull_along a lo hi bs)) <= f z - value a * z <= value (snd (hull_along a lo hi bs)).
Proof.
  intros H Hb Hz Hlh; induction H as [|b' bs Ht H IH]; [contradiction|]. cbn [hull_along].
  set (tilt := dsub (slope b') a). set (x := dmul tilt (dmax (start b') lo)). set (y := dmul tilt (dmin (stop b') hi)).
  set (least := dsub (dadd (dmin x y) (offset b')) (radius b')). set (most := dadd (dadd (dmax x y) (offset b')) (radius b')).
  assert (in_band b' z -> value least <= f z - value a * z <= value most) as here.
  { intros Hz'. specialize (Ht z Hz'). unfold off in Ht. unfold least, most. rewrite value_sub, !value_add.
    destruct (dmin_spec x y) as [X1 X2]. destruct (dmax_spec x y) as [Y1 Y2].
    assert (value x = value tilt * value (dmax (start b') lo)) as Ex by apply value_mul.
    assert (value y = value tilt * value (dmin (stop b') hi)) as Ey by apply value_mul.
    assert (value tilt = value (slope b') - value a) as Et by apply value_sub.
    assert (value (dmax (start b') lo) <= z) as Hl by (destruct Hz', (dmax_cases (start b') lo) as [-> | ->]; lra).
    assert (z <= value (dmin (stop b') hi)) as Hh by (destruct Hz', (dmin_cases (stop b') hi) as [-> | ->]; lra).
    assert (value (dmin x y) <= value tilt * z <= value (dmax x y)).
    { destruct (Rle_dec 0 (value tilt)) as [Hp|Hp].
      - assert (value x <= value tilt * z) by (rewrite Ex; apply Rmult_le_compat_l; auto).
        assert (value tilt * z <= value y) by (rewrite Ey; apply Rmult_le_compat_l; auto). lra.
      - assert (value tilt * z <= value x) by (rewrite Ex; apply Rmult_le_compat_neg_l; lra).
        assert (value y <= value tilt * z) by (rewrite Ey; apply Rmult_le_compat_neg_l; lra). lra. }
    assert (f z - value a * z = (f z - (value (slope b') * z + value (offset b'))) + value tilt * z + value (offset b')) as E
      by (rewrite Et; ring).
    apply Rabs_le_between in Ht. lra. }
  destruct bs as [|b'' bs]; [destruct Hb as [<-|[]]; apply here; auto|].
  destruct (hull_along a lo hi (b'' :: bs)) as [least' most']. cbn [fst snd] in *.
  destruct (dmin_spec least least'), (dmax_spec most most').
  destruct Hb as [<-|Hb]; [specialize (here Hz)|specialize (IH Hb)]; lra.
Qed.
Lemma line_over_spec f bs lo hi z a m r : Forall (true_of f) bs -> (exists b, In b bs /\ in_band b z) ->
  value lo <= z <= value hi -> line_over bs lo hi = Some (a, m, r) ->
  Rabs (f z - (value a * z + value m)) <= value r.
Proof.
  intros HT (b & Hb & Hz) Hlh. unfold line_over.
  assert (In b (filter (meets lo hi) bs)) as Hf.
  { apply filter_In; split; auto. unfold meets. destruct Hz.
    assert (dleb (start b) hi = true) as -> by (apply dleb_spec; lra). apply dleb_spec; lra. }
  assert (Forall (true_of f) (filter (meets lo hi) bs)) as HF.
  { apply Forall_forall; intros b' Hb'. apply filter_In in Hb' as [Hb' _]. rewrite Forall_forall in HT; auto. }
  destruct (filter (meets lo hi) bs) as [|b1 [|b2 met]]; [discriminate| |].
  - intros E; injection E as <- <- <-. destruct Hf as [->|[]]. inversion HF as [|? ? Hb1 _]. exact (Hb1 z Hz).
  - assert (forall a', let '(a'', m', r') := along_slope a' lo hi (b1 :: b2 :: met) in
      Rabs (f z - (value a'' * z + value m')) <= value r') as HA.
    { intros a'. unfold along_slope.
      pose proof (hull_along_spec f a' lo hi _ z b HF Hf Hz Hlh) as P. destruct (hull_along a' lo hi _) as [least most].
      cbn [fst snd] in P. rewrite !half_value, value_add, value_sub. apply Rabs_le. lra. }
    clear - HA. generalize (chord lo hi (b1 :: b2 :: met)) as a'. intros a'.
    pose proof (HA d0) as H0; specialize (HA a'). revert HA H0.
    destruct (along_slope a' lo hi _) as [[a1 m1] r1], (along_slope d0 lo hi _) as [[a2 m2] r2]; cbn [snd].
    intros H1 H2 E; destruct (dleb r1 r2); injection E as <- <- <-; auto.
Qed.

(** ** Through an affine layer *)

Definition forms := (list linear * list linear)%type.
(** The forms of the pre-activations of the network, and those of the differences. *)
Definition holds_at (st : forms) (v vh : list R) :=
  exists eta, Forall (within 1) eta /\ Forall2 (near eta) (fst st) v /\ Forall2 (near eta) (snd st) (minus vh v).

Definition through (g : Z) (W : list (list dyadic)) (b : list dyadic) (st : forms) : forms :=
  let (Z, D) := st in
  (zip (fun w c => trimmed g (mapped Z 0 (length D) w c)) W b,
   map (fun w => trimmed g (mapped D (length Z) 0 w d0)) W).


Lemma through_spec g W b st v vh : length vh = length v -> length W = length b -> holds_at st v vh ->
  holds_at (through g W b st) (affine reals (map values W) (values b) v) (affine reals (map values W) (values b) vh).
Proof.
  destruct st as [Z D]; intros Hl HW (eta & He & HZ & HD); cbn [fst snd] in *.
  destruct (fresh_symbols eta Z v HZ) as (f & F1 & F2 & F3).
  destruct (fresh_symbols eta D _ HD) as (f' & F1' & F2' & F3').
  exists (f ++ f' ++ eta). assert (Forall (within 1) (f ++ f' ++ eta)) as HE by (rewrite !Forall_app; auto).
  split; [exact HE|]. cbn [through fst snd].
  rewrite affine_minus by (rewrite ?map_length; auto). split.
  - clear HD F3'. unfold affine. revert b HW; induction W as [|w W IH]; intros [|c b] HW; try discriminate;
      cbn [map zip]; constructor; auto.
    apply near_trimmed; auto. unfold near, mapped; cbn [constant along beside].
    pose proof (dot_app4 0 (products dyadics w (map beside Z)) (length D) (combine_rows dyadics w (map along Z)) [] f f' eta) as E.
    cbn [app] in E. rewrite E by (rewrite ?products_dyadic, ?map_length; auto).
    cbn [add reals]. rewrite (F3 w), value_add, value_0.
    match goal with |- Rabs ?x <= _ => replace x with 0 by ring end. rewrite Rabs_R0; lra.
  - clear HZ F3 HW. rewrite map_map. induction W as [|w W IH]; cbn [map]; constructor; auto.
    apply near_trimmed; auto. unfold near, mapped; cbn [constant along beside].
    pose proof (dot_app4 (length Z) (products dyadics w (map beside D)) 0 (combine_rows dyadics w (map along D)) f f' [] eta) as E.
    cbn [app] in E. rewrite E by (rewrite ?products_dyadic, ?map_length; auto).
    rewrite (F3' w), value_add, value_0.
    match goal with |- Rabs ?x <= _ => replace x with 0 by ring end. rewrite Rabs_R0; lra.
Qed.

(** ** Behind a neuron *)

(** The derivative of an activation with tables at a point: about, for a guess. *)
Definition slope_at (f : activation) (z : dyadic) : dyadic * dyadic :=
  let of_table ps := match at_point ps z with Some t => t | None => (d0, d0) end in
  match f with
  | Softplus => of_table sigmoid_pieces
  | Elu a => if dleb z d0 then of_table (map (multiple a d0) growth_pieces) else (d1, d1)
  | Silu => of_table silu_slope_pieces
  | Gelu => of_table gelu_slope_pieces
  | Sin => of_table cos_pieces
  | _ => (d0, d0)
  end.
(** Where beyond l it may turn: about. *)
Definition turning_points (f : activation) (l : dyadic) : list dyadic :=
  match f with
  | Elu _ => [d0]
  | Silu => let steepest := Dyadic 2638121229116 (-40) in [dopp steepest; steepest]
  | Gelu => let steepest := Dyadic 1554944255988 (-40) in [dopp steepest; steepest]
  | Sin => [next_extreme 0 l; next_extreme 2 l]
  | _ => []
  end.
(** Slopes on [l, u]: where they are only decided, a guess, if it is right. *)
Definition local_slopes (f : activation) (l u : dyadic) : option (dyadic * dyadic) :=
  match slopes f l u with
  | Some t => Some t
  | None =>
      let at_ends := map (fun t => slope_at f (dmin (dmax l t) u)) (l :: u :: turning_points f l) in
      let apart := Dyadic 1 (-40) in
      let lo := dsub (fold_right dmin (Dyadic 1 100) (map fst at_ends)) apart in
      let hi := dadd (fold_right dmax (Dyadic (-1) 100) (map snd at_ends)) apart in
      if slopes_within f l u lo hi then Some (lo, hi) else None
  end.
Lemma local_slopes_spec f l u a b : local_slopes f l u = Some (a, b) ->
  slope_bounds (function f) (value l) (value u) (value a) (value b).
Proof.
  unfold local_slopes. destruct (slopes f l u) as [[a' b']|] eqn:E.
  - intros H; injection H as <- <-. apply slopes_spec; exact E.
  - cbv zeta. match goal with |- (if slopes_within _ _ _ ?x ?y then _ else _) = _ -> _ => generalize x, y end.
    intros lo hi. destruct (slopes_within f l u lo hi) eqn:E1; [|discriminate].
    intros H; injection H as <- <-. apply slopes_within_sound; exact E1.
Qed.

(** The bands of a neuron, and whether the slopes claimed are those of the activation (else of the polynomial). *)
Record neuron_bands := Bands { of_values : list band; of_residuals : list band; of_activation : bool }.
(** Those claimed, and those of the activation between z and z'. *)
Definition slopes_between_pre_activations (n : certified_neuron) (bs : neuron_bands) (z zh : dyadic * dyadic) :=
  let claimed := (slope_low (claims n), slope_high (claims n)) in
  if of_activation bs then
    match local_slopes (act n) (dmin (fst z) (fst zh)) (dmax (snd z) (snd zh)) with
    | Some between => meet between claimed
    | None => claimed
    end
  else claimed.
Definition behind (n : certified_neuron) (bs : neuron_bands) (zt dt : linear) : option (linear * linear) :=
  let c := claims n in
  let z := meet (range zt) (low c, high c) in
  let apart := range dt in
  let zh := meet (meet (range (lplus zt dt)) (interval_low c, interval_high c)) (sum_of z apart) in
  match line_over (of_values bs) (fst z) (snd z),
        (let i := if of_activation bs then zh else z in line_over (of_residuals bs) (fst i) (snd i)) with
  | Some (a, m, r), Some (a', m', r') =>
      let (lo, hi) := slopes_between_pre_activations n bs z zh in
      let mid := half (dadd lo hi) in
      let loose := dmul (dmax d0 (dmax (dsub hi mid) (dsub mid lo))) (magnitude_of apart) in
      Some (moved m r (lscale a zt),
            moved m' (dadd r' loose)
              (lplus (lscale a' zt) (lscale (if of_activation bs then dadd a' mid else mid) dt)))
  | _, _ => None
  end.

Definition bands_ok (n : certified_neuron) (bs : neuron_bands) : bool :=
  let c := claims n in
  let q := powers (coefficients n) in
  if match block n with None => true | Some _ => false end then
  if cover (low c) (high c) (of_values bs) then
  if cover (interval_low c) (interval_high c) (of_residuals bs) then
  if forallb (value_band (act n)) (of_values bs) then
  if forallb (residual_band (act n) q (centre n) (scale n)) (of_residuals bs) then
  if of_activation bs then slopes_within (act n) (interval_low c) (interval_high c) (slope_low c) (slope_high c)
  else polynomial_slopes q (centre n) (scale n) (interval_low c) (interval_high c) (slope_low c) (slope_high c)
  else false else false else false else false else false.

(** f(zh) - f(z) by a slope c: how far it is from c (zh - z). *)
Lemma chord_near f l u a b l' u' a' b' z zh c h :
  slope_bounds f l u a b -> l <= z <= u -> l <= zh <= u ->
  slope_bounds f l' u' a' b' -> l' <= z <= u' -> l' <= zh <= u' ->
  (b - c <= h \/ b' - c <= h) -> (c - a <= h \/ c - a' <= h) ->
  Rabs (f zh - f z - c * (zh - z)) <= h * Rabs (zh - z).
Proof.
  intros H1 Hz Hzh H2 Hz' Hzh' Hb Ha. destruct (Rle_dec z zh) as [L|L].
  - specialize (H1 zh z Hzh Hz L); specialize (H2 zh z Hzh' Hz' L). rewrite (Rabs_right (zh - z)) by lra.
    assert (f zh - f z - c * (zh - z) <= h * (zh - z)) by (destruct Hb; nra).
    assert (- (h * (zh - z)) <= f zh - f z - c * (zh - z)) by (destruct Ha; nra). apply Rabs_le; lra.
  - assert (zh <= z) as L' by lra.
    specialize (H1 z zh Hz Hzh L'); specialize (H2 z zh Hz' Hzh' L'). rewrite (Rabs_left (zh - z)) by lra.
    assert (f z - f zh - c * (z - zh) <= h * (z - zh)) by (destruct Hb; nra).
    assert (- (h * (z - zh)) <= f z - f zh - c * (z - zh)) by (destruct Ha; nra). apply Rabs_le; lra.
Qed.

Lemma polynomial_of_powers n z : block n = None ->
  polynomial_of n z = dpoly (powers (coefficients n)) ((z - value (centre n)) * value (scale n)).
Proof. intros HB. unfold polynomial_of. rewrite HB, <- powers_spec. reflexivity. Qed.

Lemma behind_spec n bs zt dt zt' dt' eta z zh : bands_ok n bs = true -> Forall (within 1) eta ->
  near eta zt z -> near eta dt (zh - z) ->
  in_range (neuron_value n) z -> in_interval (neuron_value n) z -> in_interval (neuron_value n) zh ->
  behind n bs zt dt = Some (zt', dt') ->
  near eta zt' (function (act n) z) /\ near eta dt' (polynomial_of n zh - function (act n) z).
Proof.
  unfold bands_ok. set (c := claims n). set (q := powers (coefficients n)). cbv zeta.
  destruct (block n) eqn:HB; [discriminate|].
  destruct (cover (low c) (high c) (of_values bs)) eqn:C1; [|discriminate].
  destruct (cover (interval_low c) (interval_high c) (of_residuals bs)) eqn:C2; [|discriminate].
  destruct (forallb (value_band (act n)) (of_values bs)) eqn:V; [|discriminate].
  destruct (forallb (residual_band (act n) q (centre n) (scale n)) (of_residuals bs)) eqn:Q; [|discriminate].
  intros HS He Hz Hd Hr Hi Hih.
  set (p := fun z => dpoly q ((z - value (centre n)) * value (scale n))).
  assert (forall t, polynomial_of n t = p t) as Hp by (intros; apply polynomial_of_powers; auto). rewrite Hp.
  set (s := function (act n)) in *.
  assert (Forall (true_of s) (of_values bs)) as TV.
  { apply Forall_forall; intros b Hb. rewrite forallb_forall in V. apply value_band_spec; auto. }
  assert (Forall (true_of (fun z => p z - s z)) (of_residuals bs)) as TR.
  { apply Forall_forall; intros b Hb. rewrite forallb_forall in Q. apply residual_band_spec; auto. }
  clear V Q.
  unfold behind. fold c. cbv zeta.
  set (iz := meet (range zt) (low c, high c)). set (apart := range dt).
  set (izh := meet (meet (range (lplus zt dt)) (interval_low c, interval_high c)) (sum_of iz apart)).
  assert (inside iz z) as Iz by (apply meet_spec; [apply (range_spec eta); auto|exact Hr]).
  assert (inside apart (zh - z)) as Ia by (apply (range_spec eta); auto).
  assert (inside izh zh) as Izh.
  { apply meet_spec; [apply meet_spec; [apply (range_spec eta); auto|exact Hih]|].
    - replace zh with (z + (zh - z)) by ring. apply near_plus; auto.
    - apply (sum_spec iz apart z (zh - z)); auto; ring. }
  pose proof (magnitude_spec _ _ Ia) as Hm.
  destruct (line_over (of_values bs) (fst iz) (snd iz)) as [[[a m] r]|] eqn:E1; [|discriminate].
  destruct (line_over (of_residuals bs) _ _) as [[[a' m'] r']|] eqn:E2; [|discriminate].
  destruct (slopes_between_pre_activations n bs iz izh) as [lo hi] eqn:E3.
  unfold slopes_between_pre_activations in E3. fold c in E3.
  intros E; injection E as <- <-.
  assert (Rabs (s z - (value a * z + value m)) <= value r) as L1.
  { apply (line_over_spec s (of_values bs) (fst iz) (snd iz)); auto. exact (cover_spec _ _ _ z C1 Hr). }
  split; [apply (near_moved eta m r _ (value a * z)); [apply near_scale; auto|exact L1]|].
  set (mid := half (dadd lo hi)). set (h := dmax d0 (dmax (dsub hi mid) (dsub mid lo))).
  destruct (dmax_spec (dsub hi mid) (dsub mid lo)) as [G1 G2]. rewrite !value_sub in G1, G2.
  destruct (dmax_spec d0 (dmax (dsub hi mid) (dsub mid lo))) as [Hh G3]; fold h in Hh, G3. rewrite value_0 in Hh.
  apply (fun H => Rle_trans _ _ _ H G3) in G1. apply (fun H => Rle_trans _ _ _ H G3) in G2. clear G3. clearbody mid h.
  pose proof (Rabs_pos (zh - z)) as Hpos.
  assert (value h * Rabs (zh - z) <= value (dmul h (magnitude_of apart))) as Hloose
    by (rewrite value_mul; apply Rmult_le_compat_l; auto).
  destruct (of_activation bs).
  - (* [p(zh) - s(zh)] + [s(zh) - s(z)] *)
    assert (Rabs (p zh - s zh - (value a' * zh + value m')) <= value r') as L2.
    { apply (line_over_spec (fun z => p z - s z) (of_residuals bs) (fst izh) (snd izh)); auto.
      exact (cover_spec _ _ _ zh C2 Hih). }
    pose proof (local_slopes_spec (act n) (dmin (fst iz) (fst izh)) (dmax (snd iz) (snd izh))) as S1.
    pose proof (slopes_within_sound _ _ _ _ _ HS) as S2. fold s in S2.
    assert (Rabs (s zh - s z - value mid * (zh - z)) <= value h * Rabs (zh - z)) as L3.
    { destruct (local_slopes (act n) (dmin (fst iz) (fst izh)) _) as [[sa sb]|].
      2:{ injection E3 as Elo Ehi.
          eapply (chord_near s); [exact S2|exact Hi|exact Hih|exact S2|exact Hi|exact Hih| |]; left; rewrite ?Elo, ?Ehi; lra. }
      specialize (S1 _ _ eq_refl). unfold meet in E3; cbn [fst snd] in E3. injection E3 as Elo Ehi.
      destruct (dmin_spec (fst iz) (fst izh)) as [M1 M2], (dmax_spec (snd iz) (snd izh)) as [M3 M4].
      unfold inside in Iz, Izh.
      eapply (chord_near s); [exact S1| | |exact S2|exact Hi|exact Hih| |].
      - lra. - lra.
      - rewrite <- Ehi in G1. destruct (dmin_cases sb (slope_high c)) as [E|E]; rewrite E in G1; [left|right]; lra.
      - rewrite <- Elo in G2. destruct (dmax_cases sa (slope_low c)) as [E|E]; rewrite E in G2; [left|right]; lra. }
    apply (near_moved eta m' _ _ (value a' * z + value (dadd a' mid) * (zh - z)));
      [apply near_plus; apply near_scale; auto|]. rewrite !value_add.
    match goal with |- Rabs ?x <= _ => replace x with
      ((p zh - s zh - (value a' * zh + value m')) + (s zh - s z - value mid * (zh - z))) by ring end.
    eapply Rle_trans; [apply Rabs_triang|]. lra.
  - (* [p(zh) - p(z)] + [p(z) - s(z)] *)
    assert (Rabs (p z - s z - (value a' * z + value m')) <= value r') as L2.
    { apply (line_over_spec (fun z => p z - s z) (of_residuals bs) (fst iz) (snd iz)); auto.
      exact (cover_spec _ _ _ z C2 Hi). }
    injection E3 as Elo Ehi. apply polynomial_slopes_spec in HS. fold p in HS.
    assert (Rabs (p zh - p z - value mid * (zh - z)) <= value h * Rabs (zh - z)) as L3.
    { eapply (chord_near p); [exact HS|exact Hi|exact Hih|exact HS|exact Hi|exact Hih| |]; left;
        rewrite ?Elo, ?Ehi; lra. }
    apply (near_moved eta m' _ _ (value a' * z + value mid * (zh - z)));
      [apply near_plus; apply near_scale; auto|]. rewrite value_add.
    match goal with |- Rabs ?x <= _ => replace x with
      ((p z - s z - (value a' * z + value m')) + (p zh - p z - value mid * (zh - z))) by ring end.
    eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(** ** Through the networks *)

Fixpoint all_behind (l : list certified_neuron) (bs : list neuron_bands) (Z D : list linear) : option forms :=
  match l, bs, Z, D with
  | [], [], [], [] => Some ([], [])
  | n :: l', b :: bs', z :: Z', d :: D' =>
      match behind n b z d, all_behind l' bs' Z' D' with
      | Some (z', d'), Some (Z'', D'') => Some (z' :: Z'', d' :: D'')
      | _, _ => None
      end
  | _, _, _, _ => None
  end.
Fixpoint walk (g : Z) (net : list certified_layer) (bands : list (list neuron_bands)) (st : forms) : option forms :=
  match net, bands with
  | [], _ => Some st
  | Affine W b :: net', _ :: bands' => walk g net' bands' (through g W b st)
  | Neurons l :: net', bs :: bands' =>
      match all_behind l bs (fst st) (snd st) with Some st' => walk g net' bands' st' | None => None end
  | _, _ => None
  end.
Fixpoint neurons_bands_ok (l : list certified_neuron) (bs : list neuron_bands) : bool :=
  match l, bs with
  | [], [] => true
  | n :: l', b :: bs' => if bands_ok n b then neurons_bands_ok l' bs' else false
  | _, _ => false
  end.
Fixpoint all_bands_ok (net : list certified_layer) (bands : list (list neuron_bands)) : bool :=
  match net, bands with
  | [], _ => true
  | Affine _ _ :: net', _ :: bands' => all_bands_ok net' bands'
  | Neurons l :: net', bs :: bands' => if neurons_bands_ok l bs then all_bands_ok net' bands' else false
  | _, _ => false
  end.

(** What the claims of a certificate say of a point: both pre-activations are where they should be. *)
Fixpoint placed (net : list layer) (v vh : list R) : Prop :=
  match net with
  | [] => True
  | Propagation.Affine W b :: net' => length W = length b /\ placed net' (affine reals W b v) (affine reals W b vh)
  | Propagation.Neurons l :: net' =>
      Forall3 (fun n z zh => in_range n z /\ in_interval n z /\ in_interval n zh) l v vh /\
      placed net' (zip s l v) (zip p l vh)
  end.
Lemma verified_placed (M : method) net : forall t V, verified M net t V ->
  forall v vh, V v -> length vh = length v -> holds_for M t (minus vh v) -> placed net v vh.
Proof.
  induction net as [|[W b|l] net IH]; intros t V HV v vh Hv Hl Ht; simpl in *; auto.
  - destruct HV as [HW HV]. split; auto. eapply IH; [exact HV|exists v; auto| |].
    + unfold affine; rewrite !zip_length; reflexivity.
    + rewrite affine_minus by assumption. apply sound_affine; exact Ht.
  - destruct HV as (HR & HC & HV). specialize (HR v Hv).
    pose proof (sound_bounds M t _ Ht) as HB.
    assert (Forall3 (fun n z zh => in_range n z /\ in_interval n z /\ in_interval n zh) l v vh /\
      Forall3 carries (map claimed l) (minus vh v) (minus (zip p l vh) (zip s l v))) as [H3 HD].
    { clear - HR HC HB Hl. unfold minus in *.
      revert v vh HR HB Hl; induction HC as [|n d l ds (He & Hh & Hm) HC IH];
        intros v vh HR HB Hl; inversion HR; subst; destruct vh as [|zh vh]; try discriminate; simpl in *.
      - split; constructor.
      - inversion HB; subst. destruct (enlargement n y zh d) as [Hz Hzh]; auto.
        destruct (IH l' vh) as [I1 I2]; auto. split; constructor; auto. apply identity; auto. }
    split; auto. eapply IH; [exact HV|exists v; auto|rewrite !zip_length; congruence|].
    eapply sound_neurons; [exact Ht|exact HD].
Qed.

Lemma all_behind_spec l : forall bs Z D st' eta v vh, neurons_bands_ok l bs = true -> Forall (within 1) eta ->
  Forall2 (near eta) Z v -> Forall2 (near eta) D (minus vh v) ->
  Forall3 (fun n z zh => in_range n z /\ in_interval n z /\ in_interval n zh) (map neuron_value l) v vh ->
  all_behind l bs Z D = Some st' ->
  Forall2 (near eta) (fst st') (zip s (map neuron_value l) v) /\
  Forall2 (near eta) (snd st') (minus (zip p (map neuron_value l) vh) (zip s (map neuron_value l) v)).
Proof.
  induction l as [|n l IH]; intros bs Z D st' eta v vh HB He HZ HD H3 H; cbn [all_behind] in H.
  - destruct bs, Z, D; try discriminate. injection H as <-. cbn. split; constructor.
  - destruct bs as [|b bs]; [discriminate|]. destruct Z as [|zt Z]; [discriminate|]. destruct D as [|dt D]; [discriminate|].
    cbn [map] in H3. inversion H3 as [|? z zh ? v' vh' HR H3']; subst. destruct HR as (R1 & R2 & R3).
    unfold minus in HD; cbn [zip] in HD. inversion HZ; inversion HD; subst.
    cbn [neurons_bands_ok] in HB. destruct (bands_ok n b) eqn:Eb; [|discriminate].
    destruct (behind n b zt dt) as [[zt' dt']|] eqn:E1; [|discriminate].
    destruct (all_behind l bs Z D) as [[Z' D']|] eqn:E2; [|discriminate]. injection H as <-.
    destruct (IH bs Z D (Z', D') eta v' vh') as [I1 I2]; auto.
    destruct (behind_spec n b zt dt zt' dt' eta z zh) as [N1 N2]; auto.
    cbn [map zip minus fst snd]. unfold minus; cbn [zip]. split; constructor; auto.
Qed.
Lemma walk_spec g net : forall bands st st' v vh, all_bands_ok net bands = true -> placed (network_value net) v vh ->
  length vh = length v -> holds_at st v vh -> walk g net bands st = Some st' ->
  holds_at st' (reference (network_value net) v) (slnn (network_value net) vh).
Proof.
  induction net as [|[W b|l] net IH]; intros bands st st' v vh HB HP Hl Hst H; cbn [walk] in H.
  - injection H as <-. exact Hst.
  - destruct bands as [|bs bands]; [discriminate|]. cbn in HP. destruct HP as [HW HP].
    refine (IH bands _ st' _ _ HB HP _ _ H).
    + unfold affine; rewrite !zip_length; reflexivity.
    + apply through_spec; auto. rewrite !map_length in HW; auto.
  - destruct bands as [|bs bands]; [discriminate|]. cbn in HP. destruct HP as [H3 HP].
    cbn [all_bands_ok] in HB. destruct (neurons_bands_ok l bs) eqn:E; [|discriminate].
    destruct st as [Z D]; cbn [fst snd] in H.
    destruct (all_behind l bs Z D) as [st''|] eqn:E2; [|discriminate].
    refine (IH bands st'' st' _ _ HB HP _ _ H).
    + rewrite !zip_length. congruence.
    + destruct Hst as (eta & He & HZ & HD); cbn [fst snd] in *. exists eta; split; auto.
      eapply all_behind_spec; eauto.
Qed.

(** ** The parts *)

(** An input is its middle and its half-width times a number of its own. *)
Fixpoint inputs_from (k : nat) (B : dyadic_box) : list linear :=
  match B with
  | [] => []
  | (l, h) :: B' => Linear (half (dadd l h)) (repeat d0 k ++ [half (dsub h l)]) d0 :: inputs_from (S k) B'
  end.
Definition at_inputs (B : dyadic_box) : forms := (inputs_from 0 B, map (fun _ => Linear d0 [] d0) B).

Lemma inputs_spec B x : inside_box B x -> holds_at (at_inputs B) x x.
Proof.
  intros H.
  assert (exists eta, Forall (within 1) eta /\ length eta = length B /\ forall before,
    Forall2 (near (before ++ eta)) (inputs_from (length before) B) x) as (eta & He & _ & HZ).
  { induction H as [|[l h] t B x Hi H (eta & He & Hl & IH)]; [exists []; repeat split; constructor|].
    cbn [fst snd] in Hi.
    assert (exists e, within 1 e /\ t = (value l + value h) / 2 + (value h - value l) / 2 * e) as (e & E1 & E2).
    { unfold within. destruct (Req_dec (value l) (value h)) as [E|E].
      - exists 0. rewrite Rabs_R0. lra.
      - set (d := (value h - value l) / 2) in *. assert (0 < d) by (unfold d; lra).
        exists ((t - (value l + value h) / 2) / d). split; [|field; lra].
        apply Rabs_le. split; apply Rmult_le_reg_r with d; auto; unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra;
          unfold d; lra. }
    exists (e :: eta). split; [constructor; auto|]. split; [simpl; congruence|].
    intros before. cbn [inputs_from]. constructor.
    - unfold near; cbn [constant along beside]. rewrite map_app, dot_zeros by reflexivity.
      cbn [map dot]. rewrite !half_value, value_add, value_sub, value_0, E2.
      match goal with |- Rabs ?x <= _ => replace x with 0 by (simpl; destruct eta; simpl; lra) end. rewrite Rabs_R0; lra.
    - specialize (IH (before ++ [e])). rewrite <- app_assoc, app_length, Nat.add_comm in IH. exact IH. }
  exists eta. cbn [at_inputs fst snd]. repeat split; auto; [exact (HZ [])|].
  clear - H. unfold minus. induction H as [|i t B x Hi H IH]; cbn [map zip]; constructor; auto.
  unfold near; cbn [constant along beside map dot]. rewrite value_0.
  match goal with |- Rabs ?x <= _ => replace x with 0 by (simpl; ring) end. rewrite Rabs_R0; lra.
Qed.

(** Each output within its bound: over the whole box, or by its form. *)
Fixpoint within_bounds (D : list linear) (whole bounds : list dyadic) : bool :=
  match D, whole, bounds with
  | [], [], [] => true
  | t :: D', w :: whole', b :: bounds' =>
      if (if dleb w b then true else dleb (magnitude_of (range t)) b) then within_bounds D' whole' bounds' else false
  | _, _, _ => false
  end.
Fixpoint at_input (k : nat) (f : dyadic * dyadic -> dyadic * dyadic) (B : dyadic_box) {struct B} : dyadic_box :=
  match B, k with [], _ => [] | i :: B', O => f i :: B' | i :: B', S k' => i :: at_input k' f B' end.
Definition part_below (k : nat) (c : dyadic) := at_input k (fun i => (fst i, c)).
Definition part_above (k : nat) (c : dyadic) := at_input k (fun i => (c, snd i)).
Fixpoint widest_from (k best : nat) (width : dyadic) (B : dyadic_box) : nat :=
  match B with
  | [] => best
  | (l, h) :: B' => let w := dsub h l in if dleb w width then widest_from (S k) best width B' else widest_from (S k) k w B'
  end.
Definition widest (B : dyadic_box) := widest_from 0 0 (dopp d1) B.

Section Parts.
Variables (g : Z) (net : list certified_layer) (bands : list (list neuron_bands)) (whole bounds : list dyadic).
Definition part_ok (B : dyadic_box) : bool :=
  match walk g net bands (at_inputs B) with Some st => within_bounds (snd st) whole bounds | None => false end.
(** The part, or its halves. *)
Fixpoint confirmed (more : nat) (B : dyadic_box) : bool :=
  if part_ok B then true else
  match more with
  | O => false
  | S more' =>
      let k := widest B in
      let (l, h) := nth k B (d0, d0) in
      let c := half (dadd l h) in
      if confirmed more' (part_below k c B) then confirmed more' (part_above k c B) else false
  end.
(** Splits in order, each followed by those of the part below and then by those of the part above; [None] for
    a part that is not split.  [open] are the parts whose splits have not been met. *)
Fixpoint parts_ok (splits : list (option (nat * dyadic))) (open : list dyadic_box) : bool :=
  match splits, open with
  | [], [] => true
  | None :: splits', B :: open' => if confirmed 4 B then parts_ok splits' open' else false
  | Some (k, c) :: splits', B :: open' => parts_ok splits' (part_below k c B :: part_above k c B :: open')
  | _, _ => false
  end.
End Parts.

Fixpoint run_C (net : list certified_layer) (st : list (form dyadic) * list dyadic) :=
  match net with
  | [] => st
  | Affine W _ :: net' => run_C net' (C_affine dyadics W st)
  | Neurons l :: net' => run_C net' (C_neurons dyadics (map claims l) st)
  end.
(** The bounds of method C. *)
Definition over_the_box (B : dyadic_box) (net : list certified_layer) : list dyadic :=
  C_bounds dyadics (run_C net (no_difference (length B))).
Definition check_divided_by (g : Z) (B : dyadic_box) (net : list certified_layer) (bands : list (list neuron_bands))
    (splits : list (option (nat * dyadic))) (bounds : list dyadic) : bool :=
  let whole := over_the_box B net in
  if check_by are_close B net whole then
  if all_bands_ok net bands then parts_ok g net bands whole bounds splits [B] else false else false.

Lemma cut_spec k c B x : inside_box B x -> inside_box (part_below k c B) x \/ inside_box (part_above k c B) x.
Proof.
  intros H; revert k; induction H as [|i t B x Hi H IH]; intros k; [left; constructor|].
  unfold part_below, part_above. destruct k as [|k]; cbn [at_input].
  - destruct (Rle_dec t (value c)); [left|right]; constructor; cbn [fst snd]; auto; lra.
  - destruct (IH k); [left|right]; constructor; auto.
Qed.

Lemma parts_spec (P : list R -> Prop) g net bands whole bounds :
  (forall B x, part_ok g net bands whole bounds B = true -> inside_box B x -> P x) ->
  forall splits open, parts_ok g net bands whole bounds splits open = true ->
  forall B x, In B open -> inside_box B x -> P x.
Proof.
  intros HP.
  assert (forall more B x, confirmed g net bands whole bounds more B = true -> inside_box B x -> P x) as HC.
  { induction more as [|more IH]; intros B x; cbn [confirmed];
      (destruct (part_ok g net bands whole bounds B) eqn:E; [intros _; apply HP; auto|]); [discriminate|].
    destruct (nth (widest B) B (d0, d0)) as [l h]. set (k := widest B). set (c := half (dadd l h)).
    destruct (confirmed g net bands whole bounds more (part_below k c B)) eqn:E1; [|discriminate].
    intros E2 Hx. destruct (cut_spec k c B x Hx); eauto. }
  induction splits as [|[[k c]|] splits IH]; intros [|B0 open] H B x HB Hx; cbn [parts_ok] in H; try discriminate;
    [destruct HB| |].
  - specialize (IH _ H). destruct HB as [->|HB].
    + destruct (cut_spec k c B x Hx); eapply IH; eauto; simpl; auto.
    + eapply IH; eauto; simpl; auto.
  - destruct (confirmed g net bands whole bounds 4 B0) eqn:E; [|discriminate].
    destruct HB as [->|HB]; [eapply HC; eauto|eapply IH; eauto].
Qed.

Definition bounded (bounds : list dyadic) (D : list R) := Forall2 (fun b d => Rabs d <= value b) bounds D.
Lemma within_bounds_spec ts : forall whole bounds eta D, within_bounds ts whole bounds = true ->
  Forall (within 1) eta -> Forall2 (near eta) ts D -> bounded whole D -> bounded bounds D.
Proof.
  induction ts as [|t ts IH]; intros [|w whole] [|b bounds] eta D H He HD HW; cbn [within_bounds] in H; try discriminate.
  - exact HW.
  - inversion HD as [|? d ? D' Ht HD']; subst. inversion HW as [|? ? ? ? Hw HW']; subst.
    destruct (if dleb w b then true else dleb (magnitude_of (range t)) b) eqn:E; [|discriminate].
    constructor; [|eapply IH; eauto]. destruct (dleb w b) eqn:E1; apply dleb_spec in E1 || apply dleb_spec in E; [lra|].
    pose proof (magnitude_spec _ _ (range_spec eta t d He Ht)). lra.
Qed.

(** The theorem of the head of this file. *)
Theorem divided_by_sound g B net bands splits bounds : check_divided_by g B net bands splits bounds = true ->
  forall x, inside_box B x ->
  Forall2 (fun b d => Rabs d <= value b) bounds
    (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
Proof.
  unfold check_divided_by. cbv zeta. destruct (check_by are_close B net (over_the_box B net)) eqn:E1; [|discriminate].
  destruct (all_bands_ok net bands) eqn:E2; [|discriminate]. intros H x Hx.
  refine (parts_spec (fun x => inside_box B x -> bounded bounds _) g net bands _ bounds _ splits [B] H B x (or_introl eq_refl) Hx Hx).
  clear splits H x Hx. intros part x Hpart Hx HB.
  pose proof (check_by_sound are_close are_close_right B net _ E1 x HB) as HW.
  unfold part_ok in Hpart. destruct (walk g net bands (at_inputs part)) as [st|] eqn:E3; [|discriminate].
  destruct (check_from_spec are_close are_close_right B net [] _ _ E1 ltac:(intros; exact I)) as [V _].
  pose proof (verified_placed method_C (network_value net) _ _ V x x ltac:(exists x; auto) eq_refl (no_difference_spec B x HB)) as HP.
  destruct (walk_spec g net bands _ st x x E2 HP eq_refl (inputs_spec part x Hx) E3) as (eta & He & _ & HD).
  exact (within_bounds_spec (snd st) _ _ eta _ Hpart He HD HW).
Qed.
End Division.

(** Exactly. *)
Definition check_divided := check_divided_by (close fuel).
Theorem divided_sound g B net bands splits bounds : check_divided g B net bands splits bounds = true ->
  forall x, inside_box B x ->
  Forall2 (fun b d => Rabs d <= value b) bounds
    (zip Rminus (slnn (network_value net) x) (reference (network_value net) x)).
Proof. apply divided_by_sound. intros p a b q c d eps v; apply close_spec. Qed.
