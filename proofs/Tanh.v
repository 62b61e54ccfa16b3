(** * tanh is within 2^-67 of the polynomials of a table

    tanh is the solution of Riccati's equation y' = 1 - y^2 with y(0) = 0.  A function Y with
    Y' >= 1 - Y^2 on [c, c + w] that begins at or above tanh stays there, since

        [(Y cosh - sinh) e^Q]' = cosh e^Q (Y' - 1 + Y^2),       Q' = Y

    ([above], [below] for the other side).  For a polynomial Y the hypothesis is that a polynomial is not
    negative on an interval.  The table has a Taylor polynomial T for each of the intervals [j/8, (j+1)/8]
    up to 24, found by the recurrence of the equation; T + d + k u and T - d - k u are checked to enclose
    tanh there, beginning where those of the interval before end.  How T is found is of no importance.
    No value of tanh or exp is computed. *)

From Coq Require Import Reals ZArith List Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Flocq Require Import Core.
From SLNN Require Import Propagation Dyadic Bernstein.
From Coq Require Import List.
Import ListNotations.
Open Scope R_scope.

(** ** Derivatives *)

Fixpoint derivative_from (k : Z) (q : list dyadic) : list dyadic :=
  match q with [] => [] | a :: q' => dmul (Dyadic k 0) a :: derivative_from (k + 1) q' end.
Definition derivative (q : list dyadic) := derivative_from 1 (tl q).
Fixpoint antiderivative_from (k : R) (q : list R) : list R :=
  match q with [] => [] | a :: q' => a / k :: antiderivative_from (k + 1) q' end.

Lemma constant_derivative (a x : R) : is_derive (fun _ : R => a) x 0.
Proof. apply (is_derive_const (K := R_AbsRing) (V := R_NormedModule)). Qed.
Lemma sum_derivative (f g : R -> R) (x a b : R) : is_derive f x a -> is_derive g x b ->
  is_derive (fun x => f x + g x) x (a + b).
Proof. apply (is_derive_plus (K := R_AbsRing) (V := R_NormedModule)). Qed.
Lemma monomial_derivative a n (x : R) : is_derive (fun x : R => a * x ^ S n) x (a * (INR (S n) * x ^ n)).
Proof.
  apply @is_derive_scal. replace (INR (S n) * x ^ n) with (INR (S n) * 1 * x ^ Nat.pred (S n)) by (simpl Nat.pred; ring).
  apply (is_derive_pow (fun x : R => x)), @is_derive_id.
Qed.
Lemma product_derivative (f g : R -> R) (x a b : R) : is_derive f x a -> is_derive g x b ->
  is_derive (fun x => f x * g x) x (a * g x + f x * b).
Proof. intros Hf Hg; exact (is_derive_mult f g x a b Hf Hg Rmult_comm). Qed.
Lemma composed_derivative (f g : R -> R) (x a b : R) : is_derive f (g x) a -> is_derive g x b ->
  is_derive (fun x => f (g x)) x (b * a).
Proof. intros Hf Hg; exact (is_derive_comp f g x a b Hf Hg). Qed.
Lemma derivative_from_spec q n k (x : R) : k = Z.of_nat (S n) ->
  is_derive (fun x : R => x ^ S n * dpoly q x) x (x ^ n * dpoly (derivative_from k q) x).
Proof.
  revert n k; induction q as [|a q IH]; intros n k Hk.
  - apply (is_derive_ext (fun _ : R => 0)); [intros; simpl; ring|].
    replace (x ^ n * dpoly (derivative_from k []) x) with 0 by (simpl; ring). apply constant_derivative.
  - apply (is_derive_ext (fun x : R => value a * x ^ S n + x ^ S (S n) * dpoly q x)).
    { intros t; rewrite dpoly_cons; simpl; ring. }
    replace (x ^ n * dpoly (derivative_from k (a :: q)) x)
      with (value a * (INR (S n) * x ^ n) + x ^ S n * dpoly (derivative_from (k + 1) q) x).
    + apply (sum_derivative (fun x => value a * x ^ S n) (fun x => x ^ S (S n) * dpoly q x)); [|apply IH; lia]. apply monomial_derivative.
    + change (derivative_from k (a :: q)) with (dmul (Dyadic k 0) a :: derivative_from (k + 1) q).
      rewrite dpoly_cons, value_mul. replace (value (Dyadic k 0)) with (INR (S n)); [cbn [pow]; ring|].
      unfold value; cbn [mantissa exponent]. rewrite INR_IZR_INZ, Hk. simpl bpow. ring.
Qed.
Lemma derivative_spec q (x : R) : is_derive (dpoly q) x (dpoly (derivative q) x).
Proof.
  unfold derivative; destruct q as [|a q].
  - apply (is_derive_ext (fun _ : R => 0)); [reflexivity|]. exact (constant_derivative 0 x).
  - apply (is_derive_ext (fun x : R => value a + x ^ 1 * dpoly q x)); [intros t; rewrite dpoly_cons; change (value a + t ^ 1 * dpoly q t = value a + t * dpoly q t); ring|].
    simpl tl. replace (dpoly (derivative_from 1 q) x) with (0 + x ^ 0 * dpoly (derivative_from 1 q) x)
      by (simpl; ring).
    apply (sum_derivative (fun _ => value a) (fun x => x ^ 1 * dpoly q x));
      [apply constant_derivative|apply derivative_from_spec; reflexivity].
Qed.
Lemma antiderivative_spec q n (x : R) :
  is_derive (fun x : R => x ^ S n * poly (antiderivative_from (INR (S n)) q) x) x (x ^ n * poly q x).
Proof.
  revert n; induction q as [|a q IH]; intros n.
  - apply (is_derive_ext (fun _ : R => 0)); [intros; simpl; ring|].
    replace (x ^ n * poly [] x) with 0 by (simpl; ring). apply constant_derivative.
  - assert (INR (S n) <> 0) as Hn by (apply not_0_INR; lia).
    apply (is_derive_ext (fun x : R => a / INR (S n) * x ^ S n + x ^ S (S n) * poly (antiderivative_from (INR (S (S n))) q) x)).
    { intros t. rewrite (S_INR (S n)).
      change (a / INR (S n) * t ^ S n + t ^ S (S n) * poly (antiderivative_from (INR (S n) + 1) q) t =
        t ^ S n * (a / INR (S n) + t * poly (antiderivative_from (INR (S n) + 1) q) t)). cbn [pow]; ring. }
    replace (x ^ n * poly (a :: q) x) with (a / INR (S n) * (INR (S n) * x ^ n) + x ^ S n * poly q x)
      by (change (poly (a :: q) x) with (a + x * poly q x); cbn [pow]; field; auto).
    apply (sum_derivative (fun x => a / INR (S n) * x ^ S n)
      (fun x => x ^ S (S n) * poly (antiderivative_from (INR (S (S n))) q) x)); [|apply IH]. apply monomial_derivative.
Qed.

(** A function whose derivative is above 0 grows.  The standard library's mean value theorem would do, but
    rests on excluded middle; this takes the greatest c up to which the function stays above its value at a. *)
Lemma growing (g g' : R -> R) a b : a <= b -> (forall u, a <= u <= b -> is_derive g u (g' u)) ->
  (forall u, a <= u <= b -> 0 < g' u) -> g a <= g b.
Proof.
  intros Hab Hd Hp. set (E := fun x => a <= x <= b /\ forall y, a <= y <= x -> g a <= g y).
  destruct (completeness E) as (c & Hub & Hlub).
  - exists b; intros x [Hx _]; lra.
  - exists a; split; [lra|]. intros y Hy; replace y with a by lra; lra.
  - assert (a <= c) as Hac.
    { apply Hub; split; [lra|]. intros y Hy; replace y with a by lra; lra. }
    assert (c <= b) as Hcb by (apply Hlub; intros x [Hx _]; lra).
    pose proof (proj1 (is_derive_Reals g c (g' c)) (Hd c (conj Hac Hcb)) (g' c) (Hp c (conj Hac Hcb))) as ([d Hd0] & HD).
    simpl in HD.
    assert (forall h, h <> 0 -> Rabs h < d -> 0 < (g (c + h) - g c) / h) as Hq.
    { intros h H0 Hh. specialize (HD h H0 Hh). revert HD; unfold Rabs; destruct (Rcase_abs _); lra. }
    assert (forall y, a <= y < c -> g a <= g y) as Hleft.
    { intros y Hy. apply Rnot_lt_le; intros Hlt. assert (c <= y); [|lra]. apply Hlub. intros x [_ Hx].
      apply Rnot_lt_le; intros Hyx. specialize (Hx y ltac:(lra)). lra. }
    assert (g a <= g c) as Hc.
    { apply Rnot_lt_le; intros Hlt. destruct Hac as [Hac| <-]; [|lra].
      set (y := Rmax a (c - d / 2)). assert (a <= y) by apply Rmax_l. assert (c - d / 2 <= y) by apply Rmax_r.
      assert (y < c) by (apply Rmax_lub_lt; lra).
      pose proof (Hq (y - c) ltac:(lra) ltac:(rewrite Rabs_left; lra)) as Q.
      replace (c + (y - c)) with y in Q by ring. specialize (Hleft y ltac:(lra)).
      assert (g y - g c < 0); [|lra].
      apply Ropp_lt_cancel; rewrite Ropp_0.
      replace (- (g y - g c)) with ((g y - g c) / (y - c) * (c - y)) by (field; lra).
      apply Rmult_lt_0_compat; lra. }
    destruct Hcb as [Hcb| ->]; [|exact Hc]. exfalso.
    set (x := Rmin b (c + d / 2)). assert (x <= b) by apply Rmin_l. assert (x <= c + d / 2) by apply Rmin_r.
    assert (c < x) by (apply Rmin_glb_lt; lra).
    assert (x <= c); [|lra]. apply Hub. split; [lra|]. intros y Hy.
    destruct (Rlt_dec y c); [apply Hleft; lra|]. destruct (Req_dec y c) as [->|Hne]; [exact Hc|].
    pose proof (Hq (y - c) ltac:(lra) ltac:(rewrite Rabs_right; lra)) as Q.
    replace (c + (y - c)) with y in Q by ring.
    assert (0 < g y - g c); [|lra]. replace (g y - g c) with ((g y - g c) / (y - c) * (y - c)) by (field; lra).
    apply Rmult_lt_0_compat; lra.
Qed.

(** The mean value theorem as inequalities. *)
Lemma mean_value_low (f f' : R -> R) a b m : a <= b -> (forall u, a <= u <= b -> is_derive f u (f' u)) ->
  (forall u, a <= u <= b -> m <= f' u) -> m * (b - a) <= f b - f a.
Proof.
  intros Hab Hd Hm. apply Rnot_lt_le; intros Hlt.
  assert (a < b) as H by (destruct Hab as [|<-]; auto; rewrite !Rminus_diag_eq, Rmult_0_r in Hlt by reflexivity; lra).
  set (e := (m * (b - a) - (f b - f a)) / (2 * (b - a))).
  assert (0 < e) as He by (apply Rdiv_lt_0_compat; lra).
  assert (e * (b - a) = (m * (b - a) - (f b - f a)) / 2) as Ee by (unfold e; field; lra).
  pose proof (growing (fun x => f x + (e - m) * x ^ 1) (fun x => f' x + (e - m) * (INR 1 * x ^ 0)) a b Hab) as HG.
  specialize (HG ltac:(intros u Hu; exact (sum_derivative f (fun x => (e - m) * x ^ 1) u _ _ (Hd u Hu)
    (monomial_derivative (e - m) 0 u)))).
  specialize (HG ltac:(intros u Hu; simpl; specialize (Hm u Hu); lra)). simpl in HG. lra.
Qed.
Lemma mean_value_high (f f' : R -> R) a b m : a <= b -> (forall u, a <= u <= b -> is_derive f u (f' u)) ->
  (forall u, a <= u <= b -> f' u <= m) -> f b - f a <= m * (b - a).
Proof.
  intros Hab Hd Hm.
  pose proof (mean_value_low (fun x => - f x) (fun x => - f' x) a b (- m) Hab) as H.
  specialize (H ltac:(intros u Hu; exact (is_derive_opp (V := R_NormedModule) f u _ (Hd u Hu)))).
  specialize (H ltac:(intros u Hu; specialize (Hm u Hu); lra)). lra.
Qed.

(** ** Riccati's equation *)

Lemma cosh_pos x : 0 < cosh x.
Proof. unfold cosh; pose proof (exp_pos x); pose proof (exp_pos (- x)); lra. Qed.

(** sgn is 1 for above, -1 for below. *)
Lemma riccati (sgn : R) (q : list dyadic) c w : 0 <= w ->
  (forall u, 0 <= u <= w -> 0 <= sgn * (dpoly (derivative q) u - 1 + dpoly q u * dpoly q u)) ->
  0 <= sgn * (dpoly q 0 - tanh c) -> forall u, 0 <= u <= w -> 0 <= sgn * (dpoly q u - tanh (c + u)).
Proof.
  intros Hw H H0 u Hu.
  set (Q := fun x => x ^ 1 * poly (antiderivative_from (INR 1) (values q)) x).
  set (G := fun x => sgn * ((dpoly q x * cosh (c + x) - sinh (c + x)) * exp (Q x))).
  assert (forall x, is_derive G x (sgn * (dpoly (derivative q) x - 1 + dpoly q x * dpoly q x) * (cosh (c + x) * exp (Q x)))) as HG.
  { intros x. unfold G.
    pose proof (derivative_spec q x) as D1. pose proof (antiderivative_spec (values q) 0 x) as D2.
    change (x ^ 0) with 1 in D2. rewrite Rmult_1_l in D2. fold Q in D2.
    assert (is_derive (fun x : R => c + x) x 1) as DS.
    { replace 1 with (0 + 1) by ring. apply (sum_derivative (fun _ => c) (fun x => x)); [apply constant_derivative|apply @is_derive_id]. }
    pose proof (composed_derivative sinh _ x _ _ (proj2 (is_derive_Reals _ _ _) (derivable_pt_lim_sinh (c + x))) DS) as D3.
    pose proof (composed_derivative cosh _ x _ _ (proj2 (is_derive_Reals _ _ _) (derivable_pt_lim_cosh (c + x))) DS) as D4.
    pose proof (composed_derivative exp _ x _ _ (is_derive_exp (Q x)) D2) as D5.
    pose proof (product_derivative _ _ x _ _ D1 D4) as D6.
    pose proof (product_derivative (fun _ => -1) _ x _ _ (constant_derivative (-1) x) D3) as D7.
    pose proof (product_derivative _ _ x _ _ (sum_derivative _ _ x _ _ D6 D7) D5) as D8.
    pose proof (product_derivative (fun _ => sgn) _ x _ _ (constant_derivative sgn x) D8) as D9.
    match type of D9 with is_derive _ _ ?d => replace (sgn * _ * _) with d by ring end.
    eapply is_derive_ext; [|exact D9]. intros t; cbv beta.
    match goal with |- ?a = ?b => change (@eq R a b) end; ring. }
  assert (forall x, G x = sgn * (dpoly q x - tanh (c + x)) * (cosh (c + x) * exp (Q x))) as EG.
  { intros x; unfold G, tanh. pose proof (cosh_pos (c + x)). field; lra. }
  assert (forall x, 0 < cosh (c + x) * exp (Q x)) as Hp
    by (intros; apply Rmult_lt_0_compat; [apply cosh_pos|apply exp_pos]).
  assert (G 0 <= G u) as HGu.
  { pose proof (mean_value_low G _ 0 u 0 (proj1 Hu) (fun x _ => HG x)) as P.
    specialize (P ltac:(intros x Hx; apply Rmult_le_pos; [apply H; lra|left; apply Hp])). lra. }
  rewrite !EG, Rplus_0_r in HGu. pose proof (Hp 0) as Hp0; rewrite Rplus_0_r in Hp0.
  pose proof (Rmult_le_pos _ _ H0 (Rlt_le _ _ Hp0)).
  apply Rmult_le_reg_r with (cosh (c + u) * exp (Q u)); [apply Hp|]. lra.
Qed.

Lemma tanh_derivative x : is_derive tanh x (1 - tanh x * tanh x).
Proof.
  pose proof (cosh_pos x) as H.
  replace (1 - tanh x * tanh x) with ((cosh x * cosh x - sinh x * sinh x) / cosh x ^ 2) by (unfold tanh; field; lra).
  apply (is_derive_div sinh cosh); [| |lra]; apply is_derive_Reals.
  - apply derivable_pt_lim_sinh.
  - apply derivable_pt_lim_cosh.
Qed.
Lemma tanh_below_1 x : tanh x * tanh x < 1.
Proof.
  pose proof (cosh_pos x) as H. unfold tanh.
  assert (sinh x * sinh x < cosh x * cosh x).
  { unfold sinh, cosh. pose proof (exp_pos x); pose proof (exp_pos (- x)). nra. }
  replace (sinh x / cosh x * (sinh x / cosh x)) with (sinh x * sinh x / (cosh x * cosh x)) by (field; lra).
  apply Rmult_lt_reg_r with (cosh x * cosh x); [nra|]. unfold Rdiv; rewrite Rmult_assoc, Rinv_l by nra. lra.
Qed.
Lemma tanh_0 : tanh 0 = 0.
Proof. unfold tanh; rewrite sinh_0; unfold Rdiv; ring. Qed.
Lemma tanh_odd x : tanh (- x) = - tanh x.
Proof. unfold tanh, sinh, cosh. rewrite Ropp_involutive. pose proof (exp_pos x); pose proof (exp_pos (- x)). field; lra. Qed.

(** ** The table *)

Fixpoint product (p q : list dyadic) : list dyadic :=
  match p with [] => [] | a :: p' => plus dyadics (map (dmul a) q) (d0 :: product p' q) end.
Lemma product_spec p q x : dpoly (product p q) x = dpoly p x * dpoly q x.
Proof.
  induction p as [|a p IH]; [simpl; ring|].
  change (product (a :: p) q) with (plus dyadics (map (dmul a) q) (d0 :: product p q)).
  rewrite dpoly_plus, dpoly_scale, dpoly_shift, IH, dpoly_cons; ring.
Qed.

(** Taylor polynomials of degree 23 at points where tanh is about t, in multiples of 2^-90. *)
Fixpoint dot_integers (p q : list Z) : Z := match p, q with a :: p', b :: q' => (a * b + dot_integers p' q')%Z | _, _ => 0%Z end.
Fixpoint taylor (n : nat) (k : Z) (acc : list Z) : list Z :=
  match n with
  | O => rev acc
  | S n' =>
      let square := dot_integers acc (rev acc) in
      taylor n' (k + 1) (((if k =? 0 then Z.shiftl 1 180 else 0) - square) / Z.shiftl (k + 1) 90 :: acc)%Z
  end.
Definition fixed (t : Z) := Dyadic t (-90).
Definition cell_of (t : Z) : list dyadic := map fixed (taylor 23 0 [t]).

Definition width := Dyadic 1 (-3).
Definition slack := Dyadic 1 (-74).
Definition horner (q : list dyadic) (x : dyadic) := fold_right (fun a r => dadd a (dmul x r)) d0 q.
Lemma horner_spec q x : value (horner q x) = dpoly q (value x).
Proof. induction q as [|a q IH]; simpl; [apply value_0|]. rewrite value_add, value_mul, IH; auto. Qed.

(** Intervals, from the left: the polynomial, and d. *)
Fixpoint build (n : nat) (t : Z) (d : dyadic) : list (list dyadic * dyadic) :=
  match n with
  | O => []
  | S n' =>
      let T := cell_of t in
      let t' := floor (-90) (horner T width) in
      (T, d) :: build n' (scaled t' (-90)) (dadd (dadd d (dmul slack width)) (Dyadic 1 (-88)))
  end.
Definition cells := Eval vm_compute in build 192 0 d0.

Definition upper (cell : list dyadic * dyadic) := plus dyadics (fst cell) [snd cell; slack].
Definition lower (cell : list dyadic * dyadic) := plus dyadics (fst cell) [dopp (snd cell); dopp slack].
Definition residual (q : list dyadic) := plus dyadics (plus dyadics (derivative q) [dopp d1]) (product q q).
Definition on_width (q : list dyadic) := halved 0 (halved 0 (halved 0 q)).
Fixpoint enclosed (low high : dyadic) (cs : list (list dyadic * dyadic)) : bool :=
  match cs with
  | [] => true
  | cell :: cs' =>
      let (l, u) := (lower cell, upper cell) in
      if dleb (horner l d0) low then if dleb high (horner u d0) then
      if positive 4 (on_width (residual u)) then if positive 4 (on_width (map dopp (residual l))) then
        enclosed (horner l width) (horner u width) cs'
      else false else false else false else false
  end.
Lemma all_enclosed : enclosed d0 d0 cells = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

(** ** What the table says *)

Lemma positive_on_width q u : positive 4 (on_width q) = true -> 0 <= u <= / 8 -> 0 <= dpoly q u.
Proof.
  intros H Hu. pose proof (positive_spec _ _ (8 * u) H ltac:(lra)) as P.
  unfold on_width in P. rewrite !halved_spec in P by lia. simpl bpow in P.
  replace (8 * u / 2 / 2 / 2) with u in P by field. lra.
Qed.
Lemma residual_spec q u : dpoly (residual q) u = dpoly (derivative q) u - 1 + dpoly q u * dpoly q u.
Proof.
  unfold residual. rewrite !dpoly_plus, product_spec, dpoly_cons, value_opp, value_1.
  change (dpoly [] u) with 0; ring.
Qed.
Lemma width_value : value width = / 8.
Proof. unfold value; simpl; lra. Qed.

Lemma increasing_tanh x y : x <= y -> tanh x <= tanh y.
Proof.
  intros H. pose proof (mean_value_low tanh _ x y 0 H (fun t _ => tanh_derivative t)) as P.
  specialize (P ltac:(intros t _; pose proof (tanh_below_1 t); lra)). lra.
Qed.

Fixpoint right (c : dyadic) (cs : list (list dyadic * dyadic)) : list piece :=
  match cs with
  | [] => []
  | (T, d) :: cs' =>
      Piece (Some c) (Some (dadd c width)) c T (dadd d (dmul slack width)) :: right (dadd c width) cs'
  end.
Fixpoint finish (low : dyadic) (cs : list (list dyadic * dyadic)) : dyadic :=
  match cs with [] => low | cell :: cs' => finish (horner (lower cell) width) cs' end.

Lemma right_spec cs : forall low high c, value low <= tanh (value c) <= value high -> enclosed low high cs = true ->
  Forall (describes tanh) (right c cs) /\
  value (finish low cs) <= tanh (value c + INR (length cs) / 8) /\
  forall z, value c <= z <= value c + INR (length cs) / 8 -> z = value c + INR (length cs) / 8 \/
    exists p, In p (right c cs) /\ in_piece p z.
Proof.
  induction cs as [|[T d] cs IH]; intros low high c Hc HE.
  - split; [constructor|]. simpl. replace (value c + 0 / 8) with (value c) by field.
    split; [lra|]. intros; left; lra.
  - cbn [enclosed] in HE. set (l := lower (T, d)) in *; set (u := upper (T, d)) in *.
    destruct (dleb (horner l d0) low) eqn:E1; [|discriminate].
    destruct (dleb high (horner u d0)) eqn:E2; [|discriminate].
    destruct (positive 4 (on_width (residual u))) eqn:E3; [|discriminate].
    destruct (positive 4 (on_width (map dopp (residual l)))) eqn:E4; [|discriminate].
    apply dleb_spec in E1, E2. rewrite horner_spec, value_0 in E1, E2.
    assert (forall v, 0 <= v <= / 8 -> tanh (value c + v) <= dpoly u v) as Hu.
    { intros v Hv. pose proof (riccati 1 u (value c) (/ 8) ltac:(lra)) as HR.
      specialize (HR ltac:(intros w Hw; rewrite Rmult_1_l, <- residual_spec; apply positive_on_width; auto) ltac:(lra) v Hv).
      lra. }
    assert (forall v, 0 <= v <= / 8 -> dpoly l v <= tanh (value c + v)) as Hl.
    { intros v Hv. pose proof (riccati (-1) l (value c) (/ 8) ltac:(lra)) as HR.
      assert (forall w, 0 <= w <= / 8 -> 0 <= -1 * (dpoly (derivative l) w - 1 + dpoly l w * dpoly l w)) as HP.
      { intros w Hw. pose proof (positive_on_width _ w E4 Hw) as P. rewrite dpoly_opp, residual_spec in P. lra. }
      specialize (HR HP ltac:(lra) v Hv). lra. }
    assert (forall v, dpoly u v = dpoly T v + (value d + value slack * v)) as Eu.
    { intros v; unfold u, upper; simpl fst; simpl snd. rewrite dpoly_plus, !dpoly_cons.
      change (dpoly [] v) with 0. ring. }
    assert (forall v, dpoly l v = dpoly T v - (value d + value slack * v)) as El.
    { intros v; unfold l, lower; simpl fst; simpl snd. rewrite dpoly_plus, !dpoly_cons, !value_opp.
      change (dpoly [] v) with 0. ring. }
    destruct (IH (horner l width) (horner u width) (dadd c width)) as (IH1 & IH2 & IH3); auto.
    { rewrite !horner_spec, value_add, width_value. split; [apply Hl|apply Hu]; lra. }
    rewrite value_add, width_value in IH2, IH3.
    replace (value c + / 8 + INR (length cs) / 8) with (value c + INR (length ((T, d) :: cs)) / 8) in *
      by (simpl length; rewrite S_INR; field).
    assert (0 < value slack) as Hslack by (unfold value; simpl; lra).
    split; [|split; [exact IH2|]].
    + cbn [right]. constructor; auto. intros z [H1 H2]; simpl in H1, H2 |- *. rewrite value_add, width_value in H2.
      specialize (Hu (z - value c) ltac:(lra)); specialize (Hl (z - value c) ltac:(lra)).
      replace (value c + (z - value c)) with z in * by ring. rewrite Eu in Hu; rewrite El in Hl.
      rewrite value_add, value_mul, width_value.
      assert (value slack * (z - value c) <= value slack * / 8) by (apply Rmult_le_compat_l; lra).
      fold (dpoly T (z - value c)). apply Rabs_le; lra.
    + intros z Hz. destruct (Rle_dec z (value c + / 8)).
      * right; eexists; split; [left; reflexivity|]. split; simpl; [lra|]. rewrite value_add, width_value; lra.
      * destruct (IH3 z ltac:(lra)) as [->|(p & Hp & Hz')]; [auto|]. right; exists p; split; [right; auto|auto].
Qed.

(** ** tanh by pieces *)

Definition tail : piece := let low := finish d0 cells in Piece (Some (Dyadic 24 0)) None d0 [d1] (dsub d1 low).
Fixpoint flipped (q : list dyadic) : list dyadic :=
  match q with [] => [] | a :: q' => dopp a :: map dopp (flipped q') end.
Definition option_opp (a : option dyadic) := match a with Some x => Some (dopp x) | None => None end.
Definition mirrored (p : piece) : piece :=
  Piece (option_opp (to p)) (option_opp (from p)) (dopp (base p)) (flipped (local p)) (rest p).
Definition half_line := right d0 cells ++ [tail].
Definition tanh_pieces := half_line ++ map mirrored half_line.

(** -q(-x) *)
Lemma flipped_spec q x : dpoly (flipped q) x = - dpoly q (- x).
Proof.
  induction q as [|a q IH]; [simpl; ring|].
  change (flipped (a :: q)) with (dopp a :: map dopp (flipped q)).
  rewrite !dpoly_cons, dpoly_opp, IH, value_opp; ring.
Qed.
Lemma describes_mirrored f p : describes f p -> describes (fun z => - f (- z)) (mirrored p).
Proof.
  intros H z [H1 H2]; simpl in *. rewrite value_opp. specialize (H (- z)).
  fold (dpoly (flipped (local p)) (z - - value (base p))). rewrite flipped_spec.
  replace (- (z - - value (base p))) with (- z - value (base p)) by ring.
  replace (- f (- z) - - dpoly (local p) (- z - value (base p)))
    with (- (f (- z) - dpoly (local p) (- z - value (base p)))) by ring.
  rewrite Rabs_Ropp. apply H. split.
  - destruct (from p) as [a|]; simpl in *; auto. rewrite value_opp in H2; lra.
  - destruct (to p) as [a|]; simpl in *; auto. rewrite value_opp in H1; lra.
Qed.
Lemma describes_equal (f g : R -> R) p : (forall z, f z = g z) -> describes f p -> describes g p.
Proof. intros E H z Hz. rewrite <- E. apply H; auto. Qed.
Lemma in_mirrored p z : in_piece p (- z) -> in_piece (mirrored p) z.
Proof.
  intros [H1 H2]; split; simpl.
  - destruct (to p); simpl in *; auto. rewrite value_opp; lra.
  - destruct (from p); simpl in *; auto. rewrite value_opp; lra.
Qed.

Lemma cells_spec : Forall (describes tanh) (right d0 cells) /\ value (finish d0 cells) <= tanh 24 /\
  forall z, 0 <= z <= 24 -> z = 24 \/ exists p, In p (right d0 cells) /\ in_piece p z.
Proof.
  destruct (right_spec cells d0 d0 d0) as (H1 & H2 & H3); [rewrite value_0, tanh_0; lra|exact all_enclosed|].
  rewrite value_0 in H2, H3. replace (0 + INR (length cells) / 8) with 24 in H2, H3; auto.
  replace (length cells) with 192%nat by (vm_compute; reflexivity). rewrite INR_IZR_INZ; simpl; field.
Qed.

Theorem tanh_described : Forall (describes tanh) tanh_pieces.
Proof.
  assert (Forall (describes tanh) half_line) as H.
  { destruct cells_spec as (H1 & H2 & _). apply Forall_app; split; auto. constructor; auto.
    intros z [Hz _]. unfold tail in *; simpl in *.
    replace (value (Dyadic 24 0)) with 24 in Hz by (unfold value; simpl; ring).
    rewrite value_sub, value_1, Rmult_0_r, Rplus_0_r.
    pose proof (increasing_tanh 24 z Hz). pose proof (tanh_below_1 z). apply Rabs_le; split; [lra|nra]. }
  apply Forall_app; split; auto. apply Forall_forall; intros p Hp. apply in_map_iff in Hp as (q & <- & Hq).
  apply (describes_equal (fun z => - tanh (- z))); [intros z; rewrite tanh_odd; ring|].
  apply describes_mirrored. rewrite Forall_forall in H; auto.
Qed.
Theorem tanh_covered : covers tanh_pieces.
Proof.
  assert (forall z, 0 <= z -> exists p, In p half_line /\ in_piece p z) as H.
  { intros z Hz. destruct (Rlt_dec z 24).
    - destruct cells_spec as (_ & _ & H). destruct (H z ltac:(lra)) as [->|(p & H1 & H2)]; [lra|].
      exists p; split; auto. apply in_or_app; auto.
    - exists tail; split; [apply in_or_app; right; left; auto|]. split; simpl; auto.
      unfold value; simpl; lra. }
  intros z; destruct (Rle_dec 0 z) as [Hz|Hz].
  - destruct (H z Hz) as (p & H1 & H2). exists p; split; auto. apply in_or_app; auto.
  - destruct (H (- z) ltac:(lra)) as (p & H1 & H2). exists (mirrored p); split; [|apply in_mirrored; auto].
    apply in_or_app; right; apply in_map; auto.
Qed.
