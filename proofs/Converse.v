(** * Every polynomial is an SLNN with one hidden layer

    For j in N^n write j.x = j_1 x_1 + ... + j_n x_n.

    THEOREM (converse).
      (a) In every commutative ring, for |a| = m,

            m! x^a = sum_j (-1)^(m - |j|) C(a_1, j_1) ... C(a_n, j_n) (j.x)^m,

          over |j| <= m; the terms with some j_i > a_i are zero. It is the mixed forward
          difference of orders a, at t = 0, of (t.x)^m.
      (b) Over a field of characteristic 0 or larger than k, every polynomial of total degree
          at most k in n >= 1 variables is the expansion of a network with one hidden layer of
          at most C(n + k - 1, k) neurons, whose biases are 0, whose activations have degree
          at most k, and whose weights are the t in N^n with |t| = k, whatever the
          polynomial; the output adds up the neurons.

    For (b): with y_j = x_j - x_0 the power (k x_0 + s.y)^m, m <= k, is a polynomial in s, whose
    coefficients in Newton's basis are differences of its values at |s| <= k, where k x_0 + s.y
    = t.x with t = (k - |s|, s).  So the sums of polynomials of these t.x have its value for every s
    in F^(n-1), and with it the powers of all j.x that (a) needs, which are multiples.

    Code: src/network/converse.rs. It applies (a) to each term, as here; its weights are not those
    of (b) but the primitive directions, the j divided by their greatest common divisors,
    and each of several outputs has neurons of its own.
    Tests: tests/representation.rs (the_converse_round_trip_is_equal). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly.
From SLNN Require Import Representation Interpolation.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Powers.
Variables (R : comRingType) (n : nat).

(** t.x *)
Definition form (t : 'X_{1..n}) : {mpoly R[n]} := \sum_i (t i)%:R%:MP * 'X_i.

Lemma formD t i : form (t + U_(i)) = 'X_i + form t.
Proof.
rewrite /form !(bigD1 (P := predT) i) //= mnmDE mnm1E eqxx addn1 mulrSr mpolyCD mpolyC1.
rewrite mulrDl mul1r [_ + 'X_i]addrC -addrA; congr (_ + (_ + _)); apply: eq_bigr => j ne.
by rewrite mnmDE mnm1E eq_sym (negbTE ne) addn0.
Qed.

Lemma differences_power (s : seq 'I_n) k t : (k <= size s)%N ->
  differences s (fun t => form t ^+ k) t =
  if k == size s then (\prod_(i <- s) 'X_i) *+ k`! else 0.
Proof.
elim/last_ind: s k t => [|s i IH] k t; first by rewrite leqn0 => /eqP ->; rewrite big_nil.
rewrite size_rcons => le; rewrite /differences foldr_rcons -/(differences _ _).
pose c (j : 'I_k) : {mpoly R[n]} := 'X_i ^+ (k - j) *+ 'C(k, j).
have E : difference i (fun t => form t ^+ k) =1 fun t => \sum_j c j * form t ^+ j.
  move=> u; rewrite /difference formD exprDn big_ord_recr /= subnn mul1r binn addrK.
  by apply: eq_bigr => j _; rewrite mulrnAl.
rewrite (differences_eq _ _ E) differences_sum.
have small (j : 'I_k) : (j <= size s)%N by rewrite -ltnS (leq_trans (ltn_ord j) le).
under eq_bigr => j _ do rewrite (IH _ _ (small j)).
case: eqP => [ek|nk]; last first.
  rewrite big1 // => j _; case: eqP => [ej|]; last by rewrite mulr0.
  by case: nk; apply/eqP; rewrite eqn_leq le -ej ltn_ord.
move: @c {E small}; rewrite ek => c; rewrite big_ord_recr /= eqxx big1 => [|j _]; last first.
  by rewrite ltn_eqF ?mulr0.
rewrite add0r /c /= subSnn expr1 binSn -cats1 big_cat big_seq1 /= mulrnAl mulrnAr.
by rewrite -mulrnA mulrC factS mulnC.
Qed.

Lemma Delta_power a : Delta a (fun t => form t ^+ mdeg a) 0%MM = 'X_[a] *+ (mdeg a)`!.
Proof.
rewrite /Delta differences_power size_m2s // eqxx; congr (_ *+ _).
rewrite /m2s big_flatten big_map big_enum mpolyXE_id; apply: eq_bigr => i _.
by rewrite big_nseq iter_mulr_1.
Qed.

(** Differences as alternating sums. *)
Lemma step_indicator (A : comRingType) k m x :
  iter k (@step A) (fun y => (y == m)%:R) x =
  if (x <= m)%N then (-1) ^+ (k + (m - x)) *+ 'C(k, m - x) else 0.
Proof.
elim: k x => [|k IH] x.
  rewrite add0n bin0n /= subn_eq0 eqn_leq; case: leqP => //= le; case: leqP => // ge.
  by have /eqP -> : (m - x == 0)%N by rewrite subn_eq0.
rewrite iterS /step !IH; case: ltngtP => [lt|gt|->]; rewrite ?subr0 //.
  rewrite -(subnSK lt) binS addSn addnS !exprS !mulN1r opprK mulNrn opprK.
  by rewrite mulrnDr addrC.
by rewrite subnn !bin0 !addn0 sub0r exprS mulN1r.
Qed.

Lemma Delta_alternating (A : comRingType) a (F : 'X_{1..n} -> A) :
  Delta a F 0%MM = \sum_(j : 'X_{1..n < (mdeg a).+1})
    F j * \prod_i ((-1) ^+ (a i + j i) *+ 'C(a i, j i)).
Proof.
pose point (j b : 'X_{1..n}) : A := \prod_i (b i == j i)%:R.
rewrite /Delta (differences_local (D := mdeg a)
  (G := fun b => \sum_(j : 'X_{1..n < (mdeg a).+1}) F j * point j b)); first last.
- by rewrite mdeg0 size_m2s.
- move=> b le; rewrite (bigD1 (@BMultinom n (mdeg a).+1 b le)) //= [point b b]big1; last first.
    by move=> i _; rewrite eqxx.
  rewrite mulr1 big1 ?addr0 // => j; rewrite bmeqP /= => ne; rewrite /point.
  have [i ne_i|eq] := pickP (fun i => b i != j i).
    by rewrite (bigD1 i) //= (negbTE ne_i) mul0r mulr0.
  by case/eqP: ne; apply/mnmP => i; have /negbFE/eqP := eq i.
rewrite differences_sum; apply: eq_bigr => j _; congr (_ * _).
rewrite (differences_prod (fun i x => (x == j i)%:R)); apply: eq_bigr => i _.
by rewrite step_indicator count_m2s mnm0E subn0.
Qed.

(** (a) *)
Theorem monomial_of_powers a : 'X_[a] *+ (mdeg a)`! =
  \sum_(j : 'X_{1..n < (mdeg a).+1})
    form j ^+ mdeg a * \prod_i ((-1) ^+ (a i + j i) *+ 'C(a i, j i)).
Proof. by rewrite -Delta_power Delta_alternating. Qed.
End Powers.

(** The network whose hidden neurons are h: neuron (t, p) has the value p(t.x). *)
Definition one_layer (R : ringType) n (h : seq ('X_{1..n} * {poly R})) : network R n 1 :=
  let neuron j := tnth (in_tuple h) j in
  Affine (\matrix_(j, i) ((neuron j).1 i)%:R) 0
    (Activation (fun j => (neuron j).2) (Affine (const_mx 1) 0 (Output R 1))).

Lemma expansion_one_layer (R : comRingType) n (h : seq ('X_{1..n} * {poly R})) :
  expansion (one_layer h) 0 0 = \sum_(u <- h) (map_poly (@mpolyC n R) u.2).[form R u.1].
Proof.
rewrite /expansion /= [in RHS]big_tnth !mxE addr0; apply: eq_bigr => j _.
rewrite !mxE mpolyC1 mul1r; congr _.[_]; rewrite addr0.
by apply: eq_bigr => i _; rewrite !mxE.
Qed.

(** ** Sums of polynomials of given linear forms *)

Section Represented.
Variables (F : fieldType) (n k : nat) (I : finType) (dir : I -> 'X_{1..n}).

Definition represented Q := exists p : I -> {poly F},
  (forall i, (size (p i) <= k.+1)%N) /\ \sum_i (map_poly (@mpolyC n F) (p i)).[form F (dir i)] = Q.

Lemma represented0 : represented 0.
Proof.
by exists (fun=> 0); split=> [j|]; rewrite ?size_poly0 // big1 // => j _; rewrite map_polyC horner0.
Qed.
Lemma representedD Q Q' : represented Q -> represented Q' -> represented (Q + Q').
Proof.
case=> p [H <-] [p' [H' <-]]; exists (fun j => p j + p' j); split=> [j|].
  by apply: leq_trans (size_add _ _) _; rewrite geq_max H H'.
by rewrite -big_split; apply: eq_bigr => j _ /=; rewrite rmorphD hornerD.
Qed.
Lemma representedZ c Q : represented Q -> represented (c *: Q).
Proof.
case=> p [H <-]; exists (fun j => c *: p j); split=> [j|].
  exact: leq_trans (size_scale_leq _ _) (H j).
by rewrite scaler_sumr; apply: eq_bigr => j _; rewrite map_polyZ hornerZ mul_mpolyC.
Qed.
Lemma represented_power i m : (m <= k)%N -> represented (form F (dir i) ^+ m).
Proof.
move=> le; exists (fun j => if j == i then 'X^m else 0); split=> [j|].
  by case: eqP => _; rewrite ?size_poly0 // size_polyXn.
rewrite (bigD1 i) //= eqxx map_polyXn hornerXn big1 ?addr0 // => j /negbTE ->.
by rewrite map_polyC horner0.
Qed.

(** Where values of a function on the lattice up to |a| are represented, its difference at 0 is. *)
Lemma represented_Delta m (a : 'X_{1..m}) (G : 'X_{1..m} -> {mpoly F[n]}) :
  (forall b, (mdeg b <= mdeg a)%N -> represented (G b)) -> represented (Delta a G 0%MM).
Proof.
move=> H; rewrite Delta_alternating; apply: (big_ind represented) => [||j _].
- exact: represented0.
- exact: representedD.
have -> : \prod_i ((-1) ^+ (a i + j i) *+ 'C(a i, j i)) =
    (\prod_i ((-1) ^+ (a i + j i) *+ 'C(a i, j i)) : F)%:MP :> {mpoly F[n]}.
  rewrite rmorph_prod; apply: eq_bigr => i _ /=.
  by rewrite mpolyCMn rmorphX /= mpolyCN mpolyC1.
by rewrite mulrC mul_mpolyC; apply/representedZ/H; rewrite -ltnS bmdeg.
Qed.

(** Powers of enough forms represent everything. *)
Lemma represented_all (P : {mpoly F[n]}) : nonzero_upto F k ->
  (forall (j : 'X_{1..n}) m, (mdeg j <= k)%N -> (m <= k)%N -> represented (form F j ^+ m)) ->
  degree_le k P -> represented P.
Proof.
move=> nz H /degree_leP/mpolywE ->; apply: (big_ind represented) => [||a _].
- exact: represented0.
- exact: representedD.
have le : (mdeg a <= k)%N by have := bmdeg a.
have nz_a : (mdeg a)`!%:R != 0 :> F := fact_neq0 nz le.
have -> : 'X_[a] = (mdeg a)`!%:R^-1 *: ('X_[a] *+ (mdeg a)`!) :> {mpoly F[n]}.
  by rewrite -scaler_nat scalerA mulVf ?scale1r.
rewrite -Delta_power; apply/representedZ/representedZ/represented_Delta => b leb.
by apply: H => //; apply: leq_trans leb le.
Qed.
End Represented.

(** ** Weights that add up to k *)

Section Simplex.
Variables (F : fieldType) (n k : nat).
Hypothesis nz : nonzero_upto F k.

(** (k - |s|, s_1, ..., s_n) *)
Definition direction (s : 'X_{1..n}) : 'X_{1..n.+1} :=
  [multinom if unlift ord0 i is Some j then s j else (k - mdeg s)%N | i < n.+1].
Definition across (j : 'I_n) : {mpoly F[n.+1]} := 'X_(lift ord0 j) - 'X_ord0.

Lemma form_split (t : 'X_{1..n.+1}) :
  form F t = (mdeg t)%:R *: 'X_ord0 + \sum_j (t (lift ord0 j))%:R *: across j.
Proof.
rewrite /form mdegE !big_ord_recl natrD scalerDl -addrA mul_mpolyC; congr (_ + _).
rewrite natr_sum scaler_suml -big_split; apply: eq_bigr => j _ /=.
by rewrite mul_mpolyC -scalerDr /across addrC subrK.
Qed.

Lemma direction_degree s : (mdeg s <= k)%N -> mdeg (direction s) = k.
Proof.
move=> le; rewrite mdegE big_ord_recl mnmE unlift_none.
by under eq_bigr => j _ do rewrite mnmE liftK; rewrite -mdegE subnK.
Qed.

Local Notation rep := (@represented F n.+1 k _ (fun s : 'X_{1..n < k.+1} => direction s)).

Lemma represented_direction (sigma : 'I_n -> F) m : (m <= k)%N ->
  rep ((k%:R *: 'X_ord0 + \sum_j sigma j *: across j) ^+ m).
Proof.
move=> le; pose A := [comRingType of {mpoly F[n.+1]}].
pose line : {mpoly A[n]} := (k%:R *: 'X_ord0)%:MP + \sum_j (across j)%:MP * 'X_j.
have line_at (x : 'I_n -> A) : (line ^+ m).@[x] = (k%:R *: 'X_ord0 + \sum_j across j * x j) ^+ m.
  rewrite rmorphX /= mevalD mevalC; congr ((_ + _) ^+ _).
  by rewrite rmorph_sum; apply: eq_bigr => j _; rewrite /= mevalM mevalC mevalXU.
have line_deg : degree_le k (line ^+ m).
  apply: (degree_le_mono le); rewrite -[m in degree_le m _]muln1; apply: degree_le_exp.
  apply: degree_le_add; first exact: degree_le_const.
  apply: degree_le_sum => j; rewrite -[1%N]add0n; apply: degree_le_mul; first exact: degree_le_const.
  by move=> a lt; rewrite mcoeffX; case: eqP lt => // <-; rewrite mdeg1.
have [c Ec] := combinations_exist line_deg.
have rep_value b : (mdeg b <= k)%N -> rep (value (line ^+ m) b).
  move=> leb; rewrite /value line_at.
  have -> : k%:R *: 'X_ord0 + \sum_j across j * (b j)%:R = form F (direction b).
    rewrite form_split direction_degree //; congr (_ + _); apply: eq_bigr => j _.
    by rewrite mnmE liftK mulrC mulr_natl scaler_nat.
  exact: (@represented_power _ _ _ _ (fun s : 'X_{1..n < k.+1} => direction s) (@BMultinom n k.+1 b leb)).
have rep_c (b : 'X_{1..n < k.+1}) : rep (c b).
  have leb : (mdeg b <= k)%N by have := bmdeg b.
  have E : Delta b (value (line ^+ m)) 0%MM = c b * (factorial b)%:R.
    by apply: (Delta_combination (D := k)) => // a _; rewrite Ec.
  have -> : c b = (factorial b)%:R^-1 *: Delta b (value (line ^+ m)) 0%MM.
    by rewrite E mulr_natr -scaler_nat scalerA mulVf ?scale1r // (factorial_neq0 nz).
  by apply/representedZ/represented_Delta => a lea; apply/rep_value/(leq_trans lea).
have <- : (line ^+ m).@[fun j => (sigma j)%:MP] = (k%:R *: 'X_ord0 + \sum_j sigma j *: across j) ^+ m.
  by rewrite line_at; congr ((_ + _) ^+ _); apply: eq_bigr => j _; rewrite mulrC mul_mpolyC.
rewrite Ec rmorph_sum; apply: (big_ind rep) => [||b _ /=].
- exact: represented0.
- exact: representedD.
rewrite mevalZ.
have -> : (newton A b).@[fun j => (sigma j)%:MP] =
    (\prod_j \prod_(l < b j) (sigma j - l%:R))%:MP :> {mpoly F[n.+1]}.
  rewrite !rmorph_prod; apply: eq_bigr => j _; rewrite !rmorph_prod /=; apply: eq_bigr => l _.
  by rewrite mevalB mevalXU rmorph_nat mpolyCB mpolyC_nat.
by rewrite mulrC mul_mpolyC; apply/representedZ/rep_c.
Qed.

Lemma represented_form (t : 'X_{1..n.+1}) m : (mdeg t <= k)%N -> (m <= k)%N -> rep (form F t ^+ m).
Proof.
move=> let_ lem; have [t0|t0] := eqVneq (mdeg t) 0%N.
  have -> : form F t = 0.
    rewrite /form big1 // => i _; move/eqP: t0; rewrite mdeg_eq0 => /eqP ->.
    by rewrite mnm0E mpolyC0 mul0r.
  case: m lem => [_|m _]; last by rewrite expr0n; exact: represented0.
  by rewrite expr0 -[1](expr0 (k%:R *: 'X_ord0 + \sum_j 0 *: across j)); apply: represented_direction.
have nzt : (mdeg t)%:R != 0 :> F by apply: nz; rewrite lt0n t0.
have nzk : k%:R != 0 :> F by apply: nz; rewrite leqnn andbT (leq_trans _ let_) // lt0n.
have -> : form F t = ((mdeg t)%:R / k%:R) *:
    (k%:R *: 'X_ord0 + \sum_j (k%:R * (t (lift ord0 j))%:R / (mdeg t)%:R) *: across j).
  rewrite form_split scalerDr scalerA divfK //; congr (_ + _).
  rewrite scaler_sumr; apply: eq_bigr => j _; rewrite scalerA; congr (_ *: _).
  by rewrite -[k%:R * _ / _]mulrA [RHS]mulrA divfK // mulrCA divff // mulr1.
by rewrite exprZn; apply/representedZ/represented_direction.
Qed.
End Simplex.

(** (b) *)
Theorem converse (F : fieldType) n k (P : {mpoly F[n.+1]}) :
  nonzero_upto F k -> degree_le k P ->
  exists h : seq ('X_{1..n.+1} * {poly F}),
    [/\ (size h <= 'C(n + k, k))%N,
        forall u, u \in h -> mdeg u.1 = k /\ (size u.2 <= k.+1)%N
      & expansion (one_layer h) 0 0 = P].
Proof.
move=> nz HP.
have [p [Hp E]] := represented_all nz (represented_form nz) HP.
exists [seq (direction k (bmnm j), p j) | j <- enum {: 'X_{1..n < k.+1}}]; split.
- rewrite size_map -(size_map (@bmnm n k.+1)); apply: count_exponents => [|a].
    by rewrite map_inj_uniq ?enum_uniq // => i j E'; apply/eqP; rewrite bmeqP; apply/eqP.
  by case/mapP=> j _ ->; rewrite -ltnS bmdeg.
- move=> _ /mapP[j _ ->]; split; last exact: Hp.
  by apply: direction_degree; rewrite -ltnS bmdeg.
by rewrite expansion_one_layer big_map big_enum.
Qed.
