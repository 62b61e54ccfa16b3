(** * Every polynomial is an SLNN with one hidden layer

    For j in N^n write j.x = j_1 x_1 + ... + j_n x_n.

    THEOREM (converse).
      (a) In every commutative ring, for |a| = m,

            m! x^a = sum_j (-1)^(m - |j|) C(a_1, j_1) ... C(a_n, j_n) (j.x)^m,

          over |j| <= m; the terms with some j_i > a_i are zero. It is the mixed forward
          difference of orders a, at t = 0, of (t.x)^m.
      (b) Over a field of characteristic 0 or larger than k, every polynomial of total degree
          at most k is the expansion of a network with one hidden layer of at most C(n + k, k)
          neurons, whose weights are natural numbers, whose biases are 0, and whose
          activations have degree at most k; the output adds up the neurons.

    Code: src/network/converse.rs.
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

(** One neuron for each j in N^n with |j| <= k. *)
Definition neurons (F : fieldType) n k (p : 'X_{1..n < k.+1} -> {poly F}) : seq ('X_{1..n} * {poly F}) :=
  [seq (bmnm j, p j) | j <- enum {: 'X_{1..n < k.+1}}].

Lemma expansion_neurons (F : fieldType) n k (p : 'X_{1..n < k.+1} -> {poly F}) :
  expansion (one_layer (neurons p)) 0 0 = \sum_(j : 'X_{1..n < k.+1}) (map_poly (@mpolyC n F) (p j)).[form F j].
Proof. by rewrite expansion_one_layer big_map big_enum. Qed.

(** (b) *)
Theorem converse (F : fieldType) n k (P : {mpoly F[n]}) :
  nonzero_upto F k -> degree_le k P ->
  exists h : seq ('X_{1..n} * {poly F}),
    [/\ (size h <= 'C(n + k, k))%N, forall u, u \in h -> (size u.2 <= k.+1)%N
      & expansion (one_layer h) 0 0 = P].
Proof.
move=> nz HP; pose represented Q := exists p : 'X_{1..n < k.+1} -> {poly F},
  (forall j, (size (p j) <= k.+1)%N) /\ \sum_(j : 'X_{1..n < k.+1}) (map_poly (@mpolyC n F) (p j)).[form F j] = Q.
suff [p [Hp E]] : represented P.
  exists (neurons p); split; last by rewrite expansion_neurons.
    rewrite -(size_map fst); apply: count_exponents => [|a].
      rewrite /neurons -map_comp map_inj_uniq ?enum_uniq // => i j /= E'.
      by apply/eqP; rewrite bmeqP; apply/eqP.
    by rewrite /neurons -map_comp => /mapP[j _ ->]; rewrite -ltnS bmdeg.
  by move=> _ /mapP[j _ ->]; apply: Hp.
have rep0 : represented 0.
  by exists (fun=> 0); split=> [j|]; rewrite ?size_poly0 // big1 // => j _; rewrite map_polyC horner0.
have repD Q Q' : represented Q -> represented Q' -> represented (Q + Q').
  case=> p [H <-] [p' [H' <-]]; exists (fun j => p j + p' j); split=> [j|].
    by apply: leq_trans (size_add _ _) _; rewrite geq_max H H'.
  by rewrite -big_split; apply: eq_bigr => j _ /=; rewrite rmorphD hornerD.
have repZ c Q : represented Q -> represented (c *: Q).
  case=> p [H <-]; exists (fun j => c *: p j); split=> [j|].
    exact: leq_trans (size_scale_leq _ _) (H j).
  by rewrite scaler_sumr; apply: eq_bigr => j _; rewrite map_polyZ hornerZ mul_mpolyC.
have rep_power (j : 'X_{1..n < k.+1}) m : (m <= k)%N -> represented (form F j ^+ m).
  move=> le; exists (fun i => if i == j then 'X^m else 0); split=> [i|].
    by case: eqP => _; rewrite ?size_poly0 // size_polyXn.
  rewrite (bigD1 j) //= eqxx map_polyXn hornerXn big1 ?addr0 // => i /negbTE ->.
  by rewrite map_polyC horner0.
move/degree_leP/mpolywE: HP => ->; apply: (big_ind represented) => // a _; apply/repZ.
have le : (mdeg a <= k)%N by have := bmdeg a.
have nz_a : (mdeg a)`!%:R != 0 :> F := fact_neq0 nz le.
have -> : 'X_[a] = (mdeg a)`!%:R^-1 *: ('X_[a] *+ (mdeg a)`!) :> {mpoly F[n]}.
  by rewrite -scaler_nat scalerA mulVf ?scale1r.
rewrite monomial_of_powers; apply/repZ/(big_ind represented) => // j _.
have lej : (mdeg j < k.+1)%N by apply: leq_trans (bmdeg j) _; rewrite ltnS.
have -> : \prod_i ((-1) ^+ (a i + j i) *+ 'C(a i, j i)) =
    (\prod_i ((-1) ^+ (a i + j i) *+ 'C(a i, j i)) : F)%:MP :> {mpoly F[n]}.
  rewrite rmorph_prod; apply: eq_bigr => i _ /=.
  by rewrite mpolyCMn rmorphX /= mpolyCN mpolyC1.
by rewrite mulrC mul_mpolyC; apply/repZ/(rep_power (BMultinom lej)).
Qed.
