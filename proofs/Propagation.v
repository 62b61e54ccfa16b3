(** * How far an SLNN is from its network: range enlargement and methods A, B, C

    A reference network F has layers in a row, each affine, v |-> W v + b, or an activation layer,
    v_i |-> s_i(v_i); its SLNN P has the same affine layers and a polynomial p_i in place of each s_i.
    Let the set X hold the inputs.  Suppose that for every activation layer, and each of its neurons i,

      1. the range [low, high] holds the pre-activation z_i of F for every x in X;
      2. the interval I_i holds [low - d_i, high + d_i], where d_i is the bound of the method for the
         difference that arrives at the neuron, computed from the layers before;
      3. |p_i(t) - s_i(t)| <= error on I_i;
      4. slope_low (u - v) <= s_i(u) - s_i(v) <= slope_high (u - v) for v <= u in I_i, or the same of p_i.

    Then |P(x) - F(x)| is at most the bound of the method in every component, for every x in X
    ([propagation]).  No hypothesis speaks of the pre-activations of P: that they lie in I_i is proved
    ([enlargement]), so the enlargement of ranges is not circular.  The methods are

      A  one number: e <- ||W|| e,  e <- max error + max |slope| e;
      B  one number a neuron: e <- |W| e,  e_i <- error_i + |slope|_i e_i;
      C  affine forms T eta, |eta_k| <= 1: T <- W T, then row i times c_i and a new column
         error_i + max |slope - c_i| d_i, where d_i is the smaller of sum_k |T_ik| and method B's e_i.

    [C_le_B] and [B_le_A]: with the same claims, and c_i the middle of the slopes, C <= B <= A.
    [branch_and_bound]: a bound on all parts that a tree of splits makes of a box is one on the box.

    The methods are written once, over any numbers with +, *, - and <=: [reals] are what the theorems
    speak of, and Checker.v runs the same functions on dyadic numbers. *)

From Coq Require Import Reals List Lra Psatz.
Import ListNotations.
Open Scope R_scope.

(** ** Numbers, vectors *)

Record numbers (K : Type) := Numbers
  { zero : K; add : K -> K -> K; mul : K -> K -> K; opp : K -> K; leb : K -> K -> bool }.
Arguments zero {K}. Arguments add {K}. Arguments mul {K}. Arguments opp {K}. Arguments leb {K}.

Definition Rleb x y := if Rle_dec x y then true else false.
Definition reals : numbers R := Numbers R 0 Rplus Rmult Ropp Rleb.

Section Vectors.
Context {K : Type} (N : numbers K).
Definition sub x y := add N x (opp N y).
Definition maximum x y := if leb N x y then y else x.
Definition minimum x y := if leb N x y then x else y.
Definition size x := maximum x (opp N x).
Definition is_zero x := andb (leb N x (zero N)) (leb N (zero N) x).

Fixpoint zip {A B C : Type} (f : A -> B -> C) (x : list A) (y : list B) : list C :=
  match x, y with a :: x', b :: y' => f a b :: zip f x' y' | _, _ => [] end.

(** w . x; entries that only one of them has count as nothing. *)
Fixpoint dot (w x : list K) : K :=
  match w, x with a :: w', b :: x' => add N (mul N a b) (dot w' x') | _, _ => zero N end.
(** sum_j |w_j| e_j *)
Definition dot_sizes (w e : list K) := dot (map size w) e.
Definition total (x : list K) := fold_right (add N) (zero N) x.
Definition greatest (x : list K) := fold_right maximum (zero N) x.
Fixpoint plus (x y : list K) : list K :=
  match x, y with a :: x', b :: y' => add N a b :: plus x' y' | [], _ => y | _, [] => x end.
(** sum_j w_j rows_j *)
Fixpoint combine_rows (w : list K) (rows : list (list K)) : list K :=
  match w, rows with
  | a :: w', r :: rows' =>
      if is_zero a then combine_rows w' rows' else plus (map (mul N a) r) (combine_rows w' rows')
  | _, _ => []
  end.
(** (w_j own_j)_j, as long as own. *)
Fixpoint products (w own : list K) : list K :=
  match own with
  | [] => []
  | o :: own' =>
      match w with
      | [] => zero N :: products [] own'
      | a :: w' => mul N a o :: products w' own'
      end
  end.
Definition affine (W : list (list K)) (b x : list K) := zip (fun w c => add N (dot w x) c) W b.

(** What is claimed of a neuron. *)
Record claim := Claim
  { low : K; high : K; interval_low : K; interval_high : K;
    error : K; slope_low : K; slope_high : K; middle : K }.
Definition steepest c := maximum (size (slope_low c)) (size (slope_high c)).
Definition spread c := maximum (sub (slope_high c) (middle c)) (sub (middle c) (slope_low c)).

(** Behind an affine layer, behind an activation layer, and the bounds: by each method. *)
Definition A_affine (W : list (list K)) (e : K) :=
  mul N (greatest (map (fun w => total (map size w)) W)) e.
Definition A_neurons (cs : list claim) (e : K) :=
  add N (greatest (map error cs)) (mul N (greatest (map steepest cs)) e).

Definition B_affine (W : list (list K)) (e : list K) := map (fun w => dot_sizes w e) W.
Definition B_neurons := zip (fun c e => add N (error c) (mul N (steepest c) e)).

(** A row of T, and a column of this neuron alone, not written into T yet. *)
Definition form : Type := list K * K.
Definition joint (t : form) := add N (total (map size (fst t))) (snd t).
Definition C_bounds (state : list form * list K) :=
  zip (fun t e => minimum (joint t) e) (fst state) (snd state).
Definition C_affine (W : list (list K)) (state : list form * list K) : list form * list K :=
  let (T, e) := state in
  (map (fun w => (products w (map snd T) ++ combine_rows w (map fst T), zero N)) W, B_affine W e).
Definition C_neuron (c : claim) (td : form * K) : form :=
  let (t, d) := td in
  (map (mul N (middle c)) (fst t),
   add N (mul N (size (middle c)) (snd t)) (add N (error c) (mul N (spread c) d))).
Definition C_neurons (cs : list claim) (state : list form * list K) : list form * list K :=
  (zip C_neuron cs (zip pair (fst state) (C_bounds state)), B_neurons cs (snd state)).
End Vectors.

Arguments claim K : clear implicits. Arguments form K : clear implicits.
Arguments Claim {K}. Arguments low {K}. Arguments high {K}. Arguments interval_low {K}.
Arguments interval_high {K}. Arguments error {K}. Arguments slope_low {K}. Arguments slope_high {K}.
Arguments middle {K}.

(** ** The real numbers among them *)

Lemma Rleb_true x y : Rleb x y = true <-> x <= y.
Proof. unfold Rleb; destruct (Rle_dec x y); split; auto; discriminate. Qed.
Lemma Rleb_false x y : Rleb x y = false -> y < x.
Proof. unfold Rleb; destruct (Rle_dec x y); try discriminate; lra. Qed.

Lemma maximum_spec x y : x <= maximum reals x y /\ y <= maximum reals x y /\
  (maximum reals x y = x \/ maximum reals x y = y).
Proof.
  unfold maximum; simpl. destruct (Rleb x y) eqn:E.
  - apply Rleb_true in E; lra.
  - apply Rleb_false in E; lra.
Qed.
Lemma minimum_spec x y : minimum reals x y <= x /\ minimum reals x y <= y /\
  (minimum reals x y = x \/ minimum reals x y = y).
Proof.
  unfold minimum; simpl. destruct (Rleb x y) eqn:E.
  - apply Rleb_true in E; lra.
  - apply Rleb_false in E; lra.
Qed.
Lemma size_abs x : size reals x = Rabs x.
Proof.
  unfold size. destruct (maximum_spec x (opp reals x)) as (H & H1 & H2); simpl in *.
  unfold Rabs; destruct (Rcase_abs x); lra.
Qed.
Lemma is_zero_spec x : is_zero reals x = true -> x = 0.
Proof.
  unfold is_zero; simpl; intros H; apply andb_prop in H as [H1 H2].
  apply Rleb_true in H1; apply Rleb_true in H2; lra.
Qed.
Lemma greatest_spec x : 0 <= greatest reals x /\ Forall (fun a => a <= greatest reals x) x.
Proof.
  induction x as [|a x [H0 IH]]; simpl; [split; auto; lra|].
  destruct (maximum_spec a (greatest reals x)) as (H1 & H2 & _).
  split; [lra|constructor; [lra|]]. eapply Forall_impl; [|exact IH]; intros; simpl in *; lra.
Qed.

Inductive Forall3 {A B C : Type} (P : A -> B -> C -> Prop) : list A -> list B -> list C -> Prop :=
| Forall3_nil : Forall3 P [] [] []
| Forall3_cons a b c x y z : P a b c -> Forall3 P x y z -> Forall3 P (a :: x) (b :: y) (c :: z).

Definition within (e d : R) := Rabs d <= e.
Definition minus (x y : list R) := zip Rminus x y.
Local Notation dotR := (dot reals).

Lemma dot_minus w x y : length x = length y -> dotR w (minus x y) = dotR w x - dotR w y.
Proof.
  revert x y; induction w as [|a w IH]; intros [|b x] [|c y] H; simpl in *; try discriminate; try lra.
  rewrite IH by congruence; unfold Rminus; ring.
Qed.
Lemma dot_plus x y eta : dotR (plus reals x y) eta = dotR x eta + dotR y eta.
Proof.
  revert y eta; induction x as [|a x IH]; intros [|b y] [|t eta]; simpl; try lra.
  rewrite IH; ring.
Qed.
Lemma dot_scale a x eta : dotR (map (Rmult a) x) eta = a * dotR x eta.
Proof.
  revert eta; induction x as [|b x IH]; intros [|t eta]; simpl; try lra. rewrite IH; ring.
Qed.
Lemma dot_app x y eta eta' : length x = length eta ->
  dotR (x ++ y) (eta ++ eta') = dotR x eta + dotR y eta'.
Proof.
  revert eta; induction x as [|a x IH]; intros [|t eta] H; simpl in *; try discriminate; [lra|].
  rewrite IH by congruence; ring.
Qed.
Lemma dot_combine w rows eta :
  dotR (combine_rows reals w rows) eta = dotR w (map (fun r => dotR r eta) rows).
Proof.
  revert rows; induction w as [|a w IH]; intros [|r rows]; simpl; auto.
  destruct (is_zero reals a) eqn:E.
  - apply is_zero_spec in E; rewrite IH, E; ring.
  - rewrite dot_plus, dot_scale, IH; reflexivity.
Qed.
Lemma dot_within w e d : Forall2 within e d -> Rabs (dotR w d) <= dot_sizes reals w e.
Proof.
  unfold dot_sizes; intros H; revert w; induction H as [|e1 d1 e d H1 H IH]; intros [|a w]; simpl;
    try (rewrite Rabs_R0; lra).
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, size_abs.
  apply Rplus_le_compat; [apply Rmult_le_compat_l; [apply Rabs_pos|exact H1]|apply IH].
Qed.
Lemma total_sizes x : 0 <= total reals (map (size reals) x).
Proof. induction x as [|a x IH]; simpl; [lra|rewrite size_abs; pose proof (Rabs_pos a); lra]. Qed.
Lemma total_dot x eta : Forall (within 1) eta -> Rabs (dotR x eta) <= total reals (map (size reals) x).
Proof.
  intros H; revert x; induction H as [|t eta Ht H IH]; intros [|a x]; simpl;
    try (rewrite Rabs_R0); try lra.
  - rewrite size_abs; pose proof (total_sizes x); pose proof (Rabs_pos a); lra.
  - eapply Rle_trans; [apply Rabs_triang|]; rewrite Rabs_mult, size_abs.
    specialize (IH x); unfold within in Ht; pose proof (Rabs_pos a); pose proof (Rabs_pos t); nra.
Qed.

(** ** Networks *)

Record neuron := Neuron { s : R -> R; p : R -> R; claimed : claim R }.
Inductive layer := Affine (W : list (list R)) (b : list R) | Neurons (l : list neuron).

Fixpoint reference (net : list layer) (v : list R) : list R :=
  match net with
  | [] => v
  | Affine W b :: net' => reference net' (affine reals W b v)
  | Neurons l :: net' => reference net' (zip s l v)
  end.
Fixpoint slnn (net : list layer) (v : list R) : list R :=
  match net with
  | [] => v
  | Affine W b :: net' => slnn net' (affine reals W b v)
  | Neurons l :: net' => slnn net' (zip p l v)
  end.

(** Claims 3 and 4 of a neuron. *)
Definition in_interval n t := interval_low (claimed n) <= t <= interval_high (claimed n).
Definition sloped n (f : R -> R) := forall u v, in_interval n u -> in_interval n v -> v <= u ->
  slope_low (claimed n) * (u - v) <= f u - f v <= slope_high (claimed n) * (u - v).
Definition holds n :=
  (forall t, in_interval n t -> Rabs (p n t - s n t) <= error (claimed n)) /\ (sloped n (s n) \/ sloped n (p n)).

(** Claim 2, given a bound d of the difference that arrives. *)
Definition enlarged n d :=
  interval_low (claimed n) <= low (claimed n) - d /\ high (claimed n) + d <= interval_high (claimed n).
Definition in_range n z := low (claimed n) <= z <= high (claimed n).

(** Both pre-activations lie in the interval. *)
Theorem enlargement n z zh d : in_range n z -> within d (zh - z) -> enlarged n d ->
  in_interval n z /\ in_interval n zh.
Proof.
  unfold in_range, in_interval, enlarged, within; intros H Hd [H1 H2].
  pose proof (Rabs_pos (zh - z)); revert Hd; unfold Rabs; destruct (Rcase_abs (zh - z)); lra.
Qed.

(** What a neuron makes of a difference D: r + m D with |r| <= error and m among the slopes. *)
Definition carries c (D D' : R) := exists m,
  slope_low c <= m <= slope_high c /\ Rabs (D' - m * D) <= error c.

Lemma mean_slope n f z zh : sloped n f -> slope_low (claimed n) <= slope_high (claimed n) ->
  in_interval n z -> in_interval n zh ->
  exists m, slope_low (claimed n) <= m <= slope_high (claimed n) /\ f zh - f z = m * (zh - z).
Proof.
  intros Hs Hm Hz Hzh. destruct (Rtotal_order z zh) as [H|[H|H]].
  - exists ((f zh - f z) / (zh - z)). specialize (Hs zh z Hzh Hz (Rlt_le _ _ H)).
    split; [|field; lra].
    split; apply Rmult_le_reg_r with (zh - z); try lra;
      replace ((f zh - f z) / (zh - z) * (zh - z)) with (f zh - f z) by (field; lra); lra.
  - subst zh; exists (slope_low (claimed n)); split; [lra|ring].
  - exists ((f z - f zh) / (z - zh)). specialize (Hs z zh Hz Hzh (Rlt_le _ _ H)).
    split; [|field; lra].
    split; apply Rmult_le_reg_r with (z - zh); try lra;
      replace ((f z - f zh) / (z - zh) * (z - zh)) with (f z - f zh) by (field; lra); lra.
Qed.

(** p(zh) - s(z) = [p(zh) - s(zh)] + [s(zh) - s(z)] = [p(zh) - p(z)] + [p(z) - s(z)] *)
Lemma identity n z zh : holds n -> slope_low (claimed n) <= slope_high (claimed n) ->
  in_interval n z -> in_interval n zh -> carries (claimed n) (zh - z) (p n zh - s n z).
Proof.
  intros [Hp [Hs|Hs]] Hm Hz Hzh; destruct (mean_slope n _ z zh Hs Hm Hz Hzh) as (m & Hm' & E); exists m; split; auto.
  - replace (p n zh - s n z - m * (zh - z)) with (p n zh - s n zh) by lra; auto.
  - replace (p n zh - s n z - m * (zh - z)) with (p n z - s n z) by lra; auto.
Qed.

(** ** Any method

    A method keeps a state, from which it reads bounds; [holds_for] says which differences a state
    allows. *)

Record method := Method
  { state : Type;
    m_affine : list (list R) -> state -> state;
    m_neurons : list (claim R) -> state -> state;
    bounds : state -> list R;
    holds_for : state -> list R -> Prop;
    sound_affine : forall W t D, holds_for t D -> holds_for (m_affine W t) (map (fun w => dotR w D) W);
    sound_neurons : forall cs t D D', holds_for t D -> Forall3 carries cs D D' ->
      holds_for (m_neurons cs t) D';
    sound_bounds : forall t D, holds_for t D -> Forall2 within (bounds t) D }.

Fixpoint run (M : method) (net : list layer) (t : state M) : state M :=
  match net with
  | [] => t
  | Affine W _ :: net' => run M net' (m_affine M W t)
  | Neurons l :: net' => run M net' (m_neurons M (map claimed l) t)
  end.

(** Claims 1 to 4, layer by layer, when V holds what arrives in F. *)
Fixpoint verified (M : method) (net : list layer) (t : state M) (V : list R -> Prop) : Prop :=
  match net with
  | [] => True
  | Affine W b :: net' => length W = length b /\
      verified M net' (m_affine M W t) (fun v' => exists v, V v /\ v' = affine reals W b v)
  | Neurons l :: net' =>
      (forall v, V v -> Forall2 in_range l v) /\
      Forall2 (fun n d => enlarged n d /\ holds n /\ slope_low (claimed n) <= slope_high (claimed n))
        l (bounds M t) /\
      verified M net' (m_neurons M (map claimed l) t) (fun v' => exists v, V v /\ v' = zip s l v)
  end.

Lemma verified_mono M net : forall t (V V' : list R -> Prop), (forall v, V' v -> V v) ->
  verified M net t V -> verified M net t V'.
Proof.
  induction net as [|[W b|l] net IH]; intros t V V' H HV; simpl in *; auto.
  - destruct HV as [HW HV]; split; auto. eapply IH; [|exact HV]. intros v (u & Hu & E); exists u; auto.
  - destruct HV as (HR & HC & HV); repeat split; auto. eapply IH; [|exact HV].
    intros v (u & Hu & E); exists u; auto.
Qed.

Lemma affine_minus W b x y : length x = length y -> length W = length b ->
  minus (affine reals W b x) (affine reals W b y) = map (fun w => dotR w (minus x y)) W.
Proof.
  intros H; revert b; induction W as [|w W IH]; intros [|c b] Hb; simpl in *; try discriminate; auto.
  rewrite <- (IH b) by congruence. rewrite dot_minus by exact H. unfold minus, affine; simpl. f_equal; lra.
Qed.

Lemma zip_length {A B C} (f : A -> B -> C) x y : length (zip f x y) = Nat.min (length x) (length y).
Proof. revert y; induction x; intros [|b y]; simpl; auto. Qed.

(** The difference of the two networks is bounded by what the method computes. *)
Theorem propagation (M : method) net : forall t V, verified M net t V ->
  forall v vh, V v -> length vh = length v -> holds_for M t (minus vh v) ->
  Forall2 within (bounds M (run M net t)) (minus (slnn net vh) (reference net v)).
Proof.
  induction net as [|[W b|l] net IH]; intros t V HV v vh Hv Hl Ht; simpl in *.
  - apply sound_bounds; exact Ht.
  - destruct HV as [HW HV]. eapply IH; [exact HV|exists v; auto| |].
    + unfold affine; rewrite !zip_length; reflexivity.
    + rewrite affine_minus by assumption. apply sound_affine; exact Ht.
  - destruct HV as (HR & HC & HV). specialize (HR v Hv).
    eapply IH; [exact HV|exists v; auto|rewrite !zip_length; congruence|].
    eapply sound_neurons; [exact Ht|].
    pose proof (sound_bounds M t _ Ht) as HB; clear - HR HC HB Hl. unfold minus in *.
    revert v vh HR HB Hl; induction HC as [|n d l ds (He & Hh & Hm) HC IH];
      intros v vh HR HB Hl; inversion HR; subst; destruct vh as [|zh vh]; try discriminate; simpl in *.
    + constructor.
    + inversion HB; subst. destruct (enlargement n y zh d) as [Hz Hzh]; auto.
      constructor; [apply identity; auto|apply IH; auto].
Qed.

(** ** Methods A, B and C are such *)

Lemma steepest_spec c m : slope_low c <= m <= slope_high c -> Rabs m <= steepest reals c.
Proof.
  unfold steepest; rewrite !size_abs; intros H.
  destruct (maximum_spec (Rabs (slope_low c)) (Rabs (slope_high c))) as (H1 & H2 & _).
  revert H1 H2; unfold Rabs; destruct (Rcase_abs m), (Rcase_abs (slope_low c)), (Rcase_abs (slope_high c)); lra.
Qed.
Lemma spread_spec c m : slope_low c <= m <= slope_high c -> Rabs (m - middle c) <= spread reals c.
Proof.
  unfold spread, sub; simpl; intros H.
  destruct (maximum_spec (slope_high c + - middle c) (middle c + - slope_low c)) as (H1 & H2 & _).
  revert H1 H2; unfold Rabs; destruct (Rcase_abs (m - middle c)); lra.
Qed.
Lemma carries_bound c e D D' : carries c D D' -> Rabs D <= e ->
  Rabs D' <= error c + steepest reals c * e.
Proof.
  intros (m & Hm & Hr) He. pose proof (steepest_spec c m Hm).
  replace D' with ((D' - m * D) + m * D) by ring. eapply Rle_trans; [apply Rabs_triang|].
  rewrite Rabs_mult. pose proof (Rabs_pos m); pose proof (Rabs_pos D); nra.
Qed.

Lemma dot_sizes_total w e a : Forall (fun x => x <= a) e -> 0 <= a ->
  dot_sizes reals w e <= total reals (map (size reals) w) * a.
Proof.
  unfold dot_sizes; intros H Ha; revert e H; induction w as [|b w IH]; intros e H; simpl; [lra|].
  pose proof (total_sizes w).
  rewrite size_abs; pose proof (Rabs_pos b). destruct H as [|x e Hx H]; simpl; [nra|].
  specialize (IH e H); nra.
Qed.

Definition A_holds (e : nat * R) (D : list R) := length D = fst e /\ 0 <= snd e /\ Forall (within (snd e)) D.
Lemma A_sound_affine W e D : A_holds e D ->
  A_holds (length W, A_affine reals W (snd e)) (map (fun w => dotR w D) W).
Proof.
  intros (Hl & H0 & H). unfold A_affine, A_holds; simpl. rewrite map_length.
  destruct (greatest_spec (map (fun w => total reals (map (size reals) w)) W)) as [Hg HW].
  repeat split; [nra|].
  apply Forall_forall; intros d Hd. apply in_map_iff in Hd as (w & <- & Hw). unfold within.
  rewrite Forall_forall in HW. specialize (HW _ (in_map _ _ _ Hw)).
  apply Rle_trans with (total reals (map (size reals) w) * snd e); [|nra].
  eapply Rle_trans; [apply (dot_within w (repeat (snd e) (length D)))|].
  - clear - H; induction H; constructor; auto.
  - apply dot_sizes_total; auto. apply Forall_forall; intros x Hx; apply repeat_spec in Hx; lra.
Qed.
Lemma A_sound_neurons cs e D D' : A_holds e D -> Forall3 carries cs D D' ->
  A_holds (fst e, A_neurons reals cs (snd e)) D'.
Proof.
  intros (Hl & H0 & H) H3. unfold A_neurons, A_holds; simpl.
  destruct (greatest_spec (map error cs)) as [Hg He].
  destruct (greatest_spec (map (steepest reals) cs)) as [Hg' Hs].
  rewrite <- Hl. repeat split; [clear - H3; induction H3; simpl; auto|nra|].
  set (g := greatest reals (map error cs)) in *. set (g' := greatest reals (map (steepest reals) cs)) in *.
  clearbody g g'. clear Hl. induction H3 as [|c d d' cs D D' Hc H3 IH]; constructor; simpl in *.
  - inversion H; inversion He; inversion Hs; subst. unfold within.
    pose proof (carries_bound c (snd e) d d' Hc H4). nra.
  - inversion H; inversion He; inversion Hs; subst; auto.
Qed.
(** The state of method A: how many components, and the bound of them all. *)
Definition method_A : method.
Proof.
  refine (Method (nat * R) (fun W e => (length W, A_affine reals W (snd e)))
    (fun cs e => (fst e, A_neurons reals cs (snd e))) (fun e => repeat (snd e) (fst e)) A_holds _ _ _).
  - intros; apply A_sound_affine; auto.
  - intros; eapply A_sound_neurons; eauto.
  - intros e D (<- & _ & H). induction H; constructor; auto.
Defined.

Lemma B_sound_affine W e D : Forall2 within e D ->
  Forall2 within (B_affine reals W e) (map (fun w => dotR w D) W).
Proof. intros H; induction W; constructor; auto; apply dot_within; auto. Qed.
Lemma B_sound_neurons cs e D D' : Forall2 within e D -> Forall3 carries cs D D' ->
  Forall2 within (B_neurons reals cs e) D'.
Proof.
  intros H H3; revert e H; induction H3 as [|c d d' cs D D' Hc H3 IH]; intros e H; inversion H; subst;
    simpl; constructor; [|apply IH; auto].
  apply (carries_bound c _ d d'); auto.
Qed.
Definition method_B : method :=
  Method (list R) (B_affine reals) (B_neurons reals) (fun e => e) (Forall2 within)
    B_sound_affine B_sound_neurons (fun _ _ H => H).

Definition is_form (eta : list R) (t : form R) (D : R) := Rabs (D - dotR (fst t) eta) <= snd t.
Definition C_holds (st : list (form R) * list R) (D : list R) :=
  Forall2 within (snd st) D /\ exists eta, Forall (within 1) eta /\ Forall2 (is_form eta) (fst st) D.

Lemma joint_spec eta t D : Forall (within 1) eta -> is_form eta t D -> Rabs D <= joint reals t.
Proof.
  unfold is_form, joint; simpl; intros He H. pose proof (total_dot (fst t) eta He).
  replace D with ((D - dotR (fst t) eta) + dotR (fst t) eta) by ring.
  eapply Rle_trans; [apply Rabs_triang|]; lra.
Qed.
Lemma C_sound_bounds st D : C_holds st D -> Forall2 within (C_bounds reals st) D.
Proof.
  intros (HB & eta & He & H); destruct st as [T e]; unfold C_bounds; simpl in *.
  revert e HB; induction H; intros e HB; inversion HB; subst; constructor; auto.
  pose proof (joint_spec eta x y He H). unfold within in *.
  match goal with |- context [minimum reals ?a ?b] =>
    destruct (minimum_spec a b) as (_ & _ & [->| ->]); auto end.
Qed.

(** The parts of a difference that its forms leave open, as new symbols. *)
Lemma new_symbols eta T D : Forall2 (is_form eta) T D ->
  exists eta', Forall (within 1) eta' /\ length eta' = length T /\ forall w,
  dotR w D = dotR (products reals w (map snd T)) eta' + dotR w (map (fun r => dotR r eta) (map fst T)).
Proof.
  induction 1 as [|t d T D Ht H (eta' & H1 & H2 & H3)].
  - exists []; repeat split; auto; intros [|a w]; simpl; lra.
  - unfold is_form in Ht.
    assert (exists x, Rabs x <= 1 /\ d - dotR (fst t) eta = snd t * x) as (x & Hx & E).
    { destruct (Req_dec (snd t) 0) as [E|E].
      - exists 0; rewrite Rabs_R0; split; [lra|]. rewrite E in *.
        revert Ht; unfold Rabs; destruct (Rcase_abs (d - dotR (fst t) eta)); lra.
      - pose proof (Rabs_pos (d - dotR (fst t) eta)).
        exists ((d - dotR (fst t) eta) / snd t); split; [|field; auto].
        unfold Rdiv; rewrite Rabs_mult, (Rabs_inv (snd t)), (Rabs_right (snd t)) by lra.
        apply Rmult_le_reg_r with (snd t); [lra|]. rewrite Rmult_assoc, Rinv_l by auto; lra. }
    exists (x :: eta'); repeat split; simpl; auto.
    intros [|a w]; simpl.
    + specialize (H3 []); simpl in H3; lra.
    + rewrite (H3 w). replace d with (dotR (fst t) eta + snd t * x) by lra. ring.
Qed.

Lemma products_length w own : length (products reals w own) = length own.
Proof. revert w; induction own as [|o own IH]; intros [|a w]; simpl; auto. Qed.

Lemma C_sound_affine W st D : C_holds st D ->
  C_holds (C_affine reals W st) (map (fun w => dotR w D) W).
Proof.
  destruct st as [T e]; intros (HB & eta & He & H); split; simpl in *; [apply B_sound_affine; auto|].
  destruct (new_symbols eta T D H) as (eta' & H1 & H2 & H3).
  exists (eta' ++ eta); split; [apply Forall_app; auto|].
  induction W as [|w W IH]; constructor; auto. unfold is_form; simpl.
  rewrite dot_app by (rewrite products_length, map_length; auto).
  rewrite dot_combine, <- H3, Rminus_diag_eq, Rabs_R0 by reflexivity; lra.
Qed.

Lemma C_sound_neurons cs st D D' : C_holds st D -> Forall3 carries cs D D' ->
  C_holds (C_neurons reals cs st) D'.
Proof.
  intros Hst H3. pose proof (C_sound_bounds st D Hst) as Hd. destruct Hst as (HB & eta & He & H).
  destruct st as [T e]; split; simpl in *; [eapply B_sound_neurons; eauto|].
  exists eta; split; auto. revert Hd. generalize (C_bounds reals (T, e)); intros ds Hd. clear HB.
  revert T ds H Hd. induction H3 as [|c d d' cs D D' Hc H3 IH]; intros T ds H Hd; simpl; [constructor|].
  destruct T as [|x T]; [inversion H|]. destruct ds as [|b ds]; [inversion Hd|].
  inversion H as [|? ? ? ? Hx HT]; inversion Hd as [|? ? ? ? Hb Hds]; subst; simpl.
  constructor.
  - destruct Hc as (m & Hm & Hr). pose proof (spread_spec c m Hm) as Hs.
    unfold is_form in *; simpl. rewrite dot_scale, size_abs.
    replace (d' - middle c * dotR (fst x) eta)
      with ((d' - m * d) + ((m - middle c) * d + middle c * (d - dotR (fst x) eta))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. eapply Rle_trans; [apply Rplus_le_compat_l, Rabs_triang|].
    rewrite !Rabs_mult. unfold within in *.
    pose proof (Rabs_pos (m - middle c)); pose proof (Rabs_pos d); pose proof (Rabs_pos (middle c)).
    pose proof (Rmult_le_compat _ _ _ _ (Rabs_pos (m - middle c)) (Rabs_pos d) Hs Hb).
    pose proof (Rmult_le_compat_l _ _ _ (Rabs_pos (middle c)) Hx). lra.
  - apply IH; auto.
Qed.
Definition method_C : method :=
  Method (list (form R) * list R) (C_affine reals) (C_neurons reals) (C_bounds reals) C_holds
    C_sound_affine C_sound_neurons C_sound_bounds.

(** ** C <= B <= A *)

Definition middling c := middle c = (slope_low c + slope_high c) / 2 /\ slope_low c <= slope_high c /\ 0 <= error c.

Lemma steepest_middle c : middling c -> Rabs (middle c) + spread reals c = steepest reals c.
Proof.
  intros (E & H & _). unfold steepest, spread, sub; rewrite !size_abs; simpl; rewrite E.
  destruct (maximum_spec (Rabs (slope_low c)) (Rabs (slope_high c))) as (H1 & H2 & [H3|H3]);
  destruct (maximum_spec (slope_high c + - ((slope_low c + slope_high c) / 2))
    ((slope_low c + slope_high c) / 2 + - slope_low c)) as (H4 & H5 & [H6|H6]);
  rewrite H3, H6 in *; revert H1 H2; unfold Rabs;
  destruct (Rcase_abs (slope_low c)), (Rcase_abs (slope_high c)),
    (Rcase_abs ((slope_low c + slope_high c) / 2)); lra.
Qed.

Lemma spread_positive c : slope_low c <= slope_high c -> 0 <= spread reals c.
Proof.
  unfold spread, sub; simpl; intros H.
  destruct (maximum_spec (slope_high c + - middle c) (middle c + - slope_low c)) as (M1 & M2 & _). lra.
Qed.

(** Every form has at most the size that method B says. *)
Definition below (st : list (form R) * list R) := Forall2 (fun t e => joint reals t <= e) (fst st) (snd st).

Lemma total_app x y : total reals (x ++ y) = total reals x + total reals y.
Proof. induction x; simpl; lra. Qed.
Lemma total_plus x y : total reals (map (size reals) (plus reals x y)) <=
  total reals (map (size reals) x) + total reals (map (size reals) y).
Proof.
  revert y; induction x as [|a x IH]; intros [|b y]; simpl; try lra.
  specialize (IH y). rewrite !size_abs; pose proof (Rabs_triang a b); lra.
Qed.
Lemma total_scale a x : total reals (map (size reals) (map (Rmult a) x)) =
  Rabs a * total reals (map (size reals) x).
Proof. induction x as [|b x IH]; simpl; [lra|]. rewrite IH, !size_abs, Rabs_mult; lra. Qed.

Lemma below_row w T e : Forall2 (fun t e => joint reals t <= e) T e -> Forall (fun t => 0 <= snd t) T ->
  total reals (map (size reals) (products reals w (map snd T) ++ combine_rows reals w (map fst T)))
  <= dot_sizes reals w e.
Proof.
  rewrite map_app, total_app. unfold dot_sizes, joint; simpl.
  intros H; revert w; induction H as [|t x T e Ht H IH]; intros [|a w] Hown; simpl; try lra.
  - inversion Hown; subst. rewrite size_abs, Rabs_R0. specialize (IH [] H3); simpl in *.
    clear - IH. lra.
  - inversion Hown; subst. specialize (IH w H3). rewrite !size_abs, Rabs_mult, (Rabs_right (snd t)) by lra.
    pose proof (Rabs_pos a).
    destruct (is_zero reals a) eqn:E; [apply is_zero_spec in E; subst; rewrite Rabs_R0 in *; lra|].
    pose proof (total_plus (map (Rmult a) (fst t)) (combine_rows reals w (map fst T))) as P.
    rewrite total_scale in P. nra.
Qed.

(** The state of method C after a network all of whose claims have the middle of the slopes. *)
Theorem C_le_B net : Forall (fun l => match l with Affine _ _ => True
    | Neurons l => Forall (fun n => middling (claimed n)) l end) net ->
  forall st, below st -> Forall (fun t => 0 <= snd t) (fst st) -> Forall (fun e => 0 <= e) (snd st) ->
  snd (run method_C net st) = run method_B net (snd st) /\
  Forall2 (fun t e => joint reals t <= e) (fst (run method_C net st)) (run method_B net (snd st)).
Proof.
  induction 1 as [|l net Hl H IH]; intros [T e] Hb Hown Hpos; simpl in *; [auto|].
  destruct l as [W b|l]; simpl.
  - apply (IH (C_affine reals W (T, e))).
    + unfold below; simpl. clear IH. induction W as [|w W IH]; constructor; auto.
      unfold joint; simpl. rewrite Rplus_0_r. apply below_row; auto.
    + simpl; clear IH. induction W; constructor; simpl; auto; lra.
    + simpl; clear - Hpos. induction W as [|w W IH]; constructor; auto.
      unfold dot_sizes; clear IH. revert e Hpos; induction w as [|a w IH]; intros e Hpos; simpl; [lra|].
      destruct Hpos as [|x e Hx Hpos]; simpl; [lra|]. rewrite size_abs; pose proof (Rabs_pos a).
      specialize (IH e Hpos); nra.
  - apply (IH (C_neurons reals (map claimed l) (T, e))); clear IH; simpl.
    + unfold below in *; unfold C_neurons, C_bounds; simpl in *. revert T e Hb Hown Hpos.
      induction Hl as [|n l Hn Hl IH]; intros T e Hb Hown Hpos; simpl; [constructor|].
      inversion Hb; subst; simpl; [constructor|]. inversion Hown; inversion Hpos; subst; simpl in *.
      constructor; [|apply IH; auto].
      unfold joint in *; simpl. rewrite total_scale, size_abs, <- (steepest_middle _ Hn).
      destruct (minimum_spec (total reals (map (size reals) (fst x)) + snd x) y) as (_ & M & _).
      destruct Hn as (_ & Hm & _).
      pose proof (spread_positive _ Hm).
      pose proof (Rabs_pos (middle (claimed n))).
      set (d := minimum reals _ _) in *. clearbody d. unfold joint in *; simpl in *. nra.
    + unfold below in *; unfold C_neurons, C_bounds; simpl in *. revert T e Hb Hown Hpos.
      induction Hl as [|n l Hn Hl IH]; intros T e Hb Hown Hpos; simpl; [constructor|].
      inversion Hb; subst; simpl; [constructor|]. inversion Hown; inversion Hpos; subst; simpl in *.
      constructor; [|apply IH; auto]. simpl. rewrite size_abs. pose proof (Rabs_pos (middle (claimed n))).
      pose proof (spread_positive _ (proj1 (proj2 Hn))).
      assert (0 <= minimum reals (joint reals x) y).
      { destruct (minimum_spec (joint reals x) y) as (_ & _ & [->| ->]); auto.
        unfold joint; simpl. pose proof (total_sizes (fst x)); lra. }
      destruct Hn as (_ & _ & He).
      repeat apply Rplus_le_le_0_compat; auto; apply Rmult_le_pos; auto.
    + clear Hb; revert e Hpos. induction Hl as [|n l Hn Hl IH]; intros e Hpos; simpl; [constructor|].
      destruct Hpos as [|x e Hx Hpos]; constructor; [|apply IH; auto].
      destruct Hn as (E & Hm & He).
      pose proof (steepest_spec (claimed n) (slope_low (claimed n)) (conj (Rle_refl _) Hm)).
      pose proof (Rabs_pos (slope_low (claimed n))).
      apply Rplus_le_le_0_compat; [exact He|apply Rmult_le_pos; [lra|exact Hx]].
Qed.

(** Every bound of method B is at most the one of method A. *)
Theorem B_le_A net : Forall (fun l => match l with Affine _ _ => True
    | Neurons l => Forall (fun n => 0 <= error (claimed n)) l end) net ->
  forall (e : list R) k a, 0 <= a -> Forall (fun x => 0 <= x <= a) e ->
  Forall (fun x => 0 <= x <= snd (run method_A net (k, a))) (run method_B net e).
Proof.
  induction 1 as [|l net Hl H IH]; intros e k a Ha He; simpl; [exact He|].
  destruct l as [W b|l]; simpl; apply IH.
  - destruct (greatest_spec (map (fun w => total reals (map (size reals) w)) W)) as [Hg _].
    unfold A_affine; simpl. nra.
  - unfold A_affine, B_affine; simpl.
    destruct (greatest_spec (map (fun w => total reals (map (size reals) w)) W)) as [Hg HW].
    set (g := greatest reals _) in *; clearbody g.
    induction W as [|w W IHW]; constructor; [|apply IHW; inversion HW; auto].
    inversion HW; subst. split.
    + unfold dot_sizes. clear - He. revert e He; induction w as [|c w IH]; intros e He; simpl; [lra|].
      destruct He as [|x e Hx He]; simpl; [lra|]. rewrite size_abs; pose proof (Rabs_pos c).
      specialize (IH e He); nra.
    + eapply Rle_trans; [apply (dot_sizes_total w e a); auto|nra].
      eapply Forall_impl; [|exact He]; simpl; intros; lra.
  - unfold A_neurons; simpl. destruct (greatest_spec (map error (map claimed l))) as [H1 _].
    destruct (greatest_spec (map (steepest reals) (map claimed l))) as [H2 _]. nra.
  - unfold A_neurons; simpl. destruct (greatest_spec (map error (map claimed l))) as [H1 H1'].
    destruct (greatest_spec (map (steepest reals) (map claimed l))) as [H2 H2'].
    set (g := greatest reals _) in *; set (g' := greatest reals (map (steepest reals) _)) in *.
    clearbody g g'. revert e He; induction Hl as [|n l Hn Hl IHl]; intros e He; simpl; [constructor|].
    simpl in *; inversion H1' as [|? ? Hg1 Hg2]; inversion H2' as [|? ? Hs1 Hs2]; subst.
    destruct He as [|x e Hx He]; constructor; [|apply IHl; auto].
    assert (0 <= steepest reals (claimed n)) as Hs0.
    { unfold steepest. destruct (maximum_spec (size reals (slope_low (claimed n)))
        (size reals (slope_high (claimed n)))) as (M & _). rewrite size_abs in M at 1.
      pose proof (Rabs_pos (slope_low (claimed n))). lra. }
    pose proof (Rmult_le_pos _ _ Hs0 (proj1 Hx)).
    pose proof (Rmult_le_compat _ _ _ _ Hs0 (proj1 Hx) Hs1 (proj2 Hx)). simpl. lra.
Qed.

(** ** Branch and bound *)

Definition box := list (R * R).
Definition in_box (B : box) (x : list R) := Forall2 (fun i t => fst i <= t <= snd i) B x.

(** A box, divided at numbers of its inputs; each part is divided further. *)
Inductive splits := Whole | Split (input : nat) (at_ : R) (left right : splits).
Fixpoint cut (k : nat) (f : R * R -> R * R) (B : box) {struct B} : box :=
  match B, k with [] , _ => [] | i :: B', O => f i :: B' | i :: B', S k' => i :: cut k' f B' end.
Fixpoint parts (t : splits) (B : box) : list box :=
  match t with
  | Whole => [B]
  | Split k c l r => parts l (cut k (fun i => (fst i, c)) B) ++ parts r (cut k (fun i => (c, snd i)) B)
  end.

Lemma cut_cover k c B x : in_box B x ->
  in_box (cut k (fun i => (fst i, c)) B) x \/ in_box (cut k (fun i => (c, snd i)) B) x.
Proof.
  intros H; revert k; induction H as [|i t B x Hi H IH]; intros k; simpl; [left; constructor|].
  destruct k as [|k].
  - destruct (Rle_dec t c); [left|right]; constructor; simpl; auto; lra.
  - destruct (IH k); [left|right]; constructor; auto.
Qed.

(** A bound of f on every part is a bound of f on the box. *)
Theorem branch_and_bound t B (f : list R -> R) e :
  Forall (fun part => forall x, in_box part x -> f x <= e) (parts t B) ->
  forall x, in_box B x -> f x <= e.
Proof.
  revert B; induction t as [|k c l IHl r IHr]; intros B H x Hx; simpl in *.
  - inversion H; auto.
  - apply Forall_app in H as [H1 H2]. destruct (cut_cover k c B x Hx); eauto.
Qed.
