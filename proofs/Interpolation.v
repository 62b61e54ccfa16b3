(** * Polynomials from their values on the simplex lattice

    For exponents a in N^n write |a| = a_1 + ... + a_n and a! = a_1! ... a_n!. The simplex
    lattice of size D consists of the C(n + D, D) points b in N^n with |b| <= D. Let

        x^(a) = prod_i x_i (x_i - 1) ... (x_i - a_i + 1),
        (Delta_i F)(b) = F(b + e_i) - F(b),     Delta^a = Delta_1^a_1 ... Delta_n^a_n.

    THEOREM (interpolation). Let P be a polynomial in n variables of total degree at most D.
      (a) Over a field of characteristic 0 or larger than D, whatever F is off the lattice,
          if F(b) = P(b) on the lattice, then  P = sum_(|a| <= D) (Delta^a F)(0) / a! x^(a).
      (b) Over an integral domain of characteristic 0 or larger than D, two such polynomials
          that agree on the lattice are equal.
      (c) Over any commutative ring the differences tabulate P by additions alone:
            P(b) = sum_(|a| <= D) C(b_1, a_1) ... C(b_n, a_n) (Delta^a F)(0)  for b in N^n,
            (Delta^a P)(b + e_i) = (Delta^a P)(b) + (Delta^(a + e_i) P)(b),
            Delta^a P = 0  for |a| > D.
      (d) Hence a polynomial of total degree at most D that agrees with an output of a network
          on the lattice is its expansion, if delta_o is at most D as well.
      (e) A table c on the lattice, zero off it, has  sum c_a x^(a) = sum c'_a x^a, where c'
          results from subtracting k c_(a + e_i) from c_a wherever a_i >= k, for k = D - 1,
          ..., 1 along one axis i after the other.

    Code: src/expand/prove.rs ([prove_equal]: (d)), src/expand/lattice/tabulate.rs (c),
    src/expand/lattice/interpolate.rs (a and e); ExactExpansion.v puts them together.
    Tests: tests/representation.rs (lattice_agreement_is_equality). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly.
From SLNN Require Import Representation.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

(** 1, ..., D are not 0 in R: its characteristic is 0 or larger than D. *)
Definition nonzero_upto (R : ringType) D := forall k, (0 < k <= D)%N -> k%:R != 0 :> R.

Lemma nonzero_char0 (R : idomainType) D : [char R] =i pred0 -> nonzero_upto R D.
Proof. by move=> H k /andP[k0 _]; rewrite ((charf0P R).1 H) -lt0n. Qed.

Lemma nonzero_charp (R : ringType) p D : p \in [char R] -> (D < p)%N -> nonzero_upto R D.
Proof.
move=> cp lt k /andP[k0 le]; rewrite -(dvdn_charf cp).
by apply/negP => /(dvdn_leq k0); rewrite leqNgt (leq_ltn_trans le).
Qed.

(** ** Newton's basis *)

Section Newton.
Variables (R : comRingType) (n : nat).
Implicit Types (a b e : 'X_{1..n}) (F G : 'X_{1..n} -> R) (P : {mpoly R[n]}).

(** a! *)
Definition factorial a := (\prod_i (a i)`!)%N.

(** x^(a) *)
Definition newton a : {mpoly R[n]} := \prod_i \prod_(j < a i) ('X_i - j%:R).

(** The value of P at the lattice point b. *)
Definition value P b : R := P.@[fun i => (b i)%:R].

Lemma value_newton a b : value (newton a) b = \prod_i (b i ^_ a i)%:R.
Proof.
rewrite /value rmorph_prod; apply: eq_bigr => i _; rewrite rmorph_prod /=.
elim: (a i) => [|k IH]; first by rewrite big_ord0 ffactn0.
rewrite big_ord_recr IH /= ffactnSr mevalB mevalXU rmorph_nat natrM.
by have [le|lt] := leqP k (b i); [rewrite natrB | rewrite ffact_small // !mul0r].
Qed.

(** Every polynomial of total degree at most D is a combination of x^(a), |a| <= D. *)
Definition combination D (c : 'X_{1..n} -> R) : {mpoly R[n]} :=
  \sum_(a : 'X_{1..n < D.+1}) c a *: newton a.

Lemma newton_step i a : 'X_i * newton a = newton (a + U_(i)) + (a i)%:R *: newton a.
Proof.
have other j : j != i -> (a + U_(i))%MM j = a j.
  by move=> ne; rewrite mnmDE mnm1E eq_sym (negbTE ne) addn0.
rewrite /newton !(bigD1 (P := predT) i) //= mnmDE mnm1E eqxx addn1 big_ord_recr /=.
under [\prod_(j | _) \prod_(k < (a + _)%MM _) _]eq_bigr => j ne do rewrite other //.
rewrite -mul_mpolyC mpolyC_nat; set x := \prod_(j < a i) _; set y := \prod_(j | _) _.
by rewrite mulrBr mulrBl (mulrC x (a i)%:R) -!mulrA addrNK mulrCA mulrA.
Qed.

Lemma combinations_exist D P : degree_le D P -> exists c, P = combination D c.
Proof.
pose spanned k p := exists c, p = combination k c.
have spanned0 k : spanned k 0.
  by exists (fun=> 0); rewrite /combination big1 // => a _; rewrite scale0r.
have spannedD k p q : spanned k p -> spanned k q -> spanned k (p + q).
  case=> c -> [d ->]; exists (fun a => c a + d a); rewrite /combination -big_split.
  by apply: eq_bigr => a _; rewrite scalerDl.
have spannedZ k x p : spanned k p -> spanned k (x *: p).
  case=> c ->; exists (fun a => x * c a); rewrite /combination scaler_sumr.
  by apply: eq_bigr => a _; rewrite scalerA.
have spanned_newton k a : (mdeg a <= k)%N -> spanned k (newton a).
  move=> le; exists (fun b => (b == a)%:R); rewrite /combination.
  rewrite (bigD1 (@BMultinom n k.+1 a le)) //= eqxx scale1r big1 ?addr0 // => b.
  by rewrite bmeqP /= => /negbTE ->; rewrite scale0r.
have spannedX k i p : spanned k p -> spanned k.+1 ('X_i * p).
  case=> c ->; rewrite /combination mulr_sumr; apply: big_ind => // [|a _].
    exact: spannedD.
  rewrite -scalerAr newton_step; have le := bmdeg a.
  by apply/spannedZ/spannedD; [|apply: spannedZ]; apply: spanned_newton;
     rewrite ?mdegD ?mdeg1 ?addn1 // ltnW.
have spanned1 k : spanned k 1.
  have -> : 1 = newton 0%MM; last by apply: spanned_newton; rewrite mdeg0.
  by rewrite /newton big1 // => i _; rewrite mnm0E big_ord0.
have spanned_monomial k a : (mdeg a <= k)%N -> spanned k 'X_[a].
  elim: k a => [|k IH] a; first by rewrite leqn0 mdeg_eq0 => /eqP ->; rewrite mpolyX0.
  have [i ai le|a0 _] := pickP (fun i => a i != 0%N); last first.
    have -> : a = 0%MM by apply/mnmP => i; rewrite mnm0E; have /negbFE/eqP := a0 i.
    by rewrite mpolyX0.
  have E : (U_(i) + (a - U_(i)) = a)%MM by rewrite addmC submK // lep1mP.
  by rewrite -{1}E mpolyXD; apply/spannedX/IH; move: le; rewrite -{1}E mdegD mdeg1.
move=> /degree_leP/mpolywE ->; apply: (big_ind (spanned D)) => // [|a _]; first exact: spannedD.
by apply/spannedZ/spanned_monomial; have := bmdeg a.
Qed.

(** ** Forward differences *)

Definition difference i F : 'X_{1..n} -> R := fun b => F (b + U_(i))%MM - F b.

(** One difference after the other, along the axes in s. *)
Definition differences (s : seq 'I_n) F : 'X_{1..n} -> R := foldr difference F s.

(** Delta^a F: a_1 differences along axis 1, a_2 along axis 2, and so on. *)
Definition Delta a F : 'X_{1..n} -> R := differences (m2s a) F.

(** k differences at b see F up to total degree |b| + k only. *)
Lemma differences_local D F G s b : (forall b, (mdeg b <= D)%N -> F b = G b) ->
  (mdeg b + size s <= D)%N -> differences s F b = differences s G b.
Proof.
move=> H; elim: s b => [|i s IH] b /=; first by rewrite addn0; apply: H.
rewrite addnS => lt; rewrite /difference !IH ?(ltnW lt) //.
by rewrite mdegD mdeg1 addn1 addSn.
Qed.

Lemma differences_eq F G s b : F =1 G -> differences s F b = differences s G b.
Proof. by move=> H; apply: (differences_local (D := mdeg b + size s)) => // c _. Qed.

Lemma differences_sum (I : Type) (r : seq I) (c : I -> R) (G : I -> 'X_{1..n} -> R) s b :
  differences s (fun b => \sum_(k <- r) c k * G k b) b =
  \sum_(k <- r) c k * differences s (G k) b.
Proof.
elim: s b => //= i s IH b; rewrite /difference !IH -sumrB.
by apply: eq_bigr => j _; rewrite mulrBr.
Qed.

(** On a product of functions of one variable each. *)
Definition step (f : nat -> R) : nat -> R := fun x => f x.+1 - f x.

Lemma differences_prod (f : 'I_n -> nat -> R) s b :
  differences s (fun b => \prod_j f j (b j)) b =
  \prod_j iter (count_mem j s) step (f j) (b j).
Proof.
elim: s b => //= i s IH b; rewrite /difference !IH !(bigD1 (P := predT) i) //=.
rewrite mnmDE mnm1E eqxx addn1 /step mulrBl.
congr (_ * _ - _ * _); apply: eq_bigr => j ne; rewrite [i == j]eq_sym (negbTE ne) //.
by rewrite mnmDE mnm1E eq_sym (negbTE ne) addn0.
Qed.

Lemma step_ffact (k e x : nat) :
  iter e step (fun x => (x ^_ k)%:R) x = (k ^_ e * x ^_ (k - e))%:R.
Proof.
elim: e x => [|e IH] x; first by rewrite ffactn0 mul1n subn0.
rewrite iterS /step !IH subnS ffactnSr -mulnA.
case: (k - e)%N => [|m]; first by rewrite !ffactn0 mul0n muln0 subrr.
apply/eqP; rewrite subr_eq -natrD -mulnDr /=; apply/eqP; congr (_ * _)%:R.
rewrite ffactSS ffactnSr [in RHS]mulnC -mulnDr mulnC; have [le|lt] := leqP m x.
  by rewrite addSn subnKC.
by rewrite ffact_small.
Qed.

Lemma count_m2s e j : count_mem j (m2s e) = e j.
Proof. by rewrite -[in RHS](s2mK e) mnmE. Qed.

Lemma Delta_newton a e b :
  Delta e (value (newton a)) b = \prod_j (a j ^_ e j * b j ^_ (a j - e j))%:R.
Proof.
rewrite /Delta (differences_eq _ _ (value_newton a)).
rewrite (differences_prod (fun j x => (x ^_ a j)%:R)).
by apply: eq_bigr => j _; rewrite step_ffact count_m2s.
Qed.

Lemma Delta_newton0 a e :
  Delta e (value (newton a)) 0%MM = if a == e then (factorial e)%:R else 0.
Proof.
rewrite Delta_newton; case: eqP => [->|ne].
  by rewrite natr_prod; apply: eq_bigr => j _; rewrite subnn ffactn0 muln1 ffactnn.
have [j ne_j|eq] := pickP (fun j => a j != e j); last first.
  by case: ne; apply/mnmP => j; have /negbFE/eqP := eq j.
rewrite (bigD1 j) //= mnm0E; case: ltngtP ne_j => [lt _|gt _|//].
  by rewrite ffact_small // mul0n mul0r.
by rewrite -(subnSK gt) ffact0n muln0 mul0r.
Qed.

Lemma value_combination D c b :
  value (combination D c) b = \sum_(a : 'X_{1..n < D.+1}) c a * value (newton a) b.
Proof. by rewrite /value rmorph_sum; apply: eq_bigr => a _; rewrite /= mevalZ. Qed.

(** The differences at 0 are the coefficients in Newton's basis, times factorials. *)
Lemma Delta_combination D c F e :
  (forall b, (mdeg b <= D)%N -> F b = value (combination D c) b) ->
  (mdeg e <= D)%N -> Delta e F 0%MM = c e * (factorial e)%:R.
Proof.
move=> H le; rewrite /Delta (differences_local H) ?mdeg0 ?size_m2s //.
rewrite (differences_eq _ _ (value_combination D c)) differences_sum.
rewrite (bigD1 (@BMultinom n D.+1 e le)) //=.
rewrite -/(Delta _ _ _) Delta_newton0 eqxx big1 ?addr0 // => a; rewrite bmeqP /= => /negbTE ne.
by rewrite -/(Delta _ _ _) Delta_newton0 ne mulr0.
Qed.

(** (c) *)
Theorem Delta_tabulates D P F : degree_le D P ->
  (forall b, (mdeg b <= D)%N -> F b = value P b) ->
  forall b, value P b = \sum_(a : 'X_{1..n < D.+1}) Delta a F 0%MM *+ (\prod_i 'C(b i, a i)).
Proof.
move=> /combinations_exist[c ->] H b; rewrite value_combination; apply: eq_bigr => a _.
rewrite (Delta_combination H); last by have := bmdeg a.
rewrite value_newton -[RHS]mulr_natr -mulrA -natrM -natr_prod -big_split /=.
by congr (_ * _%:R); apply: eq_bigr => i _; rewrite mulnC bin_ffact.
Qed.

(** Differences commute. *)
Lemma difference_differences i s F b :
  difference i (differences s F) b = differences s (difference i F) b.
Proof.
elim: s b => //= j s IH b; set G := differences s F.
have -> : difference j (differences s (difference i F)) b =
    difference i G (b + U_(j))%MM - difference i G b by rewrite !IH.
rewrite /difference -/G !opprB addrACA [RHS]addrACA [- G _ - _]addrC.
by rewrite -!addmA [(U_(i) + _)%MM]addmC.
Qed.

Lemma differences_perm s t F b : perm_eq s t -> differences s F b = differences t F b.
Proof.
elim: s t b => [|i s IH] t b st; first by case: t st => // j t /perm_size.
have it : i \in t by rewrite -(perm_mem st) mem_head.
case/splitPr: it st => t1 t2; rewrite perm_sym perm_catC /= perm_cons perm_catC perm_sym => st.
rewrite /= [RHS]/differences foldr_cat -/(differences _ _) /= -difference_differences.
by rewrite /difference !(IH (t1 ++ t2)) // /differences foldr_cat.
Qed.

(** A step along axis i adds to each difference the next higher one along it, *)
Theorem Delta_step a i F b : Delta a F (b + U_(i))%MM = Delta a F b + Delta (a + U_(i))%MM F b.
Proof.
rewrite [Delta (a + _)%MM F b](differences_perm (t := i :: m2s a)) /=.
  by rewrite /difference addrC subrK.
by apply/allP => j _; rewrite /= !count_m2s mnmDE mnm1E addnC.
Qed.

(** and those of an order above the degree vanish. *)
Theorem Delta_vanishes D P a b : degree_le D P -> (D < mdeg a)%N -> Delta a (value P) b = 0.
Proof.
move=> /combinations_exist[c ->] gt; rewrite /Delta (differences_eq _ _ (value_combination D c)).
rewrite differences_sum big1 // => e _; rewrite -/(Delta _ _ _) Delta_newton.
have [j lt|le] := pickP (fun j => e j < a j)%N.
  by rewrite (bigD1 j) //= ffact_small // mul0n mul0r mulr0.
have := bmdeg e; rewrite ltnS leqNgt (leq_trans gt) // !mdegE.
by apply: leq_sum => j _; rewrite leqNgt le.
Qed.

(** ** From Newton's basis to monomials *)

(** A pass along axis i takes (x_i - k) apart: c_a loses k c_(a + e_i) where a_i >= k. *)
Definition pass i k (c : 'X_{1..n} -> R) : 'X_{1..n} -> R :=
  fun a => if (k <= a i)%N then c a - k%:R * c (a + U_(i))%MM else c a.

(** Along axis i the nodes D - 1, ..., 1 in this order, and so along every axis. *)
Definition convert_axis D i c := foldr (pass i) c (iota 1 D.-1).
Definition convert D c := foldr (convert_axis D) c (enum 'I_n).

(** In between, x_i^(nu_i) x_i^(a_i - nu_i) takes the place of x_i^(a_i) for a_i >= nu_i. *)
Definition factor i k m : {mpoly R[n]} := (\prod_(j < minn k m) ('X_i - j%:R)) * 'X_i ^+ (m - k).
Definition mixed (nu : 'I_n -> nat) a := \prod_i factor i (nu i) (a i).
Definition update i k (nu : 'I_n -> nat) : 'I_n -> nat := fun j => if j == i then k else nu j.

Lemma factor_pass i k m :
  factor i k.+1 m = factor i k m - if (k < m)%N then k%:R * factor i k m.-1 else 0.
Proof.
rewrite /factor; case: ltnP => [|le]; last first.
  have /eqP -> : (m - k.+1 == 0)%N by rewrite subn_eq0 leqW.
  have /eqP -> : (m - k == 0)%N by rewrite subn_eq0.
  by rewrite subr0; have /minn_idPr -> := leqW le.
case: m => // m lt /=; have le : (k <= m)%N := lt; rewrite subSS subSn // exprS.
have /minn_idPl -> := lt; have /minn_idPl -> := le.
rewrite big_ord_recr /= mulrBr mulrBl -!mulrA; congr (_ - _).
by rewrite mulrCA.
Qed.

Lemma mixed_pass i k nu a : mixed (update i k.+1 nu) a = mixed (update i k nu) a -
  if (k < a i)%N then k%:R * mixed (update i k nu) (a - U_(i))%MM else 0.
Proof.
have other b f : (forall j, j != i -> b j = a j) ->
    \prod_(j | j != i) factor j (update i f nu j) (b j) = \prod_(j | j != i) factor j (nu j) (a j).
  by move=> H; apply: eq_bigr => j ne; rewrite /update (negbTE ne) H.
rewrite /mixed !(bigD1 (P := predT) i) //= !other ?[update i _ nu i]/update ?eqxx //; last first.
  by move=> j ne; rewrite mnmBE mnm1E eq_sym (negbTE ne) subn0.
rewrite factor_pass mulrBl mnmBE mnm1E eqxx subn1; congr (_ - _).
by case: ifP => _; rewrite ?mul0r // -mulrA.
Qed.

(** The table c is zero off the lattice: a difference reads no such entry, a pass does. *)
Definition supported D (c : 'X_{1..n} -> R) := forall a, (D < mdeg a)%N -> c a = 0.

Lemma supported_pass D i k c : supported D c -> supported D (pass i k c).
Proof.
move=> H a lt; rewrite /pass !H ?mulr0 ?subrr ?if_same //.
by rewrite mdegD (leq_trans lt) ?leq_addr.
Qed.

(** A pass changes the table and the basis, and not the polynomial. *)
Lemma sum_pass D i k nu c : supported D c ->
  \sum_(a : 'X_{1..n < D.+1}) pass i k c a *: mixed (update i k nu) a =
  \sum_(a : 'X_{1..n < D.+1}) c a *: mixed (update i k.+1 nu) a.
Proof.
move=> H; set G := mixed (update i k nu).
have -> : \sum_(a : 'X_{1..n < D.+1}) pass i k c a *: G a =
    \sum_(a : 'X_{1..n < D.+1}) c a *: G a -
    \sum_(a : 'X_{1..n < D.+1} | (k <= a i)%N) (k%:R * c (a + U_(i))%MM) *: G a.
  rewrite [X in _ = _ - X]big_mkcond -sumrB; apply: eq_bigr => a _; rewrite /pass.
  by case: ifP; rewrite ?subr0 // scalerBl.
have -> : \sum_(a : 'X_{1..n < D.+1}) c a *: mixed (update i k.+1 nu) a =
    \sum_(a : 'X_{1..n < D.+1}) c a *: G a -
    \sum_(a : 'X_{1..n < D.+1} | (k < a i)%N) (k%:R * c a) *: G (a - U_(i))%MM.
  rewrite [X in _ = _ - X]big_mkcond -sumrB; apply: eq_bigr => a _; rewrite mixed_pass -/G.
  by case: ifP; rewrite ?subr0 // scalerBr -mpolyC_nat mul_mpolyC scalerA [c a * _]mulrC.
congr (_ - _).
transitivity (\sum_(a : 'X_{1..n < D.+1} | (k <= a i)%N) \sum_(b : 'X_{1..n < D.+1} |
    b == (a + U_(i))%MM :> 'X_{1..n}) ((k%:R * c b) *: G a)).
  apply: eq_bigr => a _; have [lt|ge] := ltnP (mdeg a) D.
    have lt' : (mdeg (a + U_(i)) < D.+1)%N by rewrite mdegD mdeg1 addn1.
    by rewrite (big_pred1 (BMultinom lt')) // => b; rewrite bmeqP.
  rewrite H ?mulr0 ?scale0r; last by rewrite mdegD mdeg1 addn1.
  rewrite big1 // => b /eqP E; have := bmdeg b; rewrite E mdegD mdeg1 addn1.
  by rewrite ltnS ltnNge ge.
rewrite (exchange_big_dep (fun b : 'X_{1..n < D.+1} => k < b i)%N) /=; last first.
  by move=> a b le /eqP ->; rewrite mnmDE mnm1E eqxx addn1.
apply: eq_bigr => b lt.
have lt' : (mdeg (b - U_(i)) < D.+1)%N by rewrite (leq_ltn_trans (mdegB _ _)) ?bmdeg.
rewrite (big_pred1 (BMultinom lt')) // => a /=; rewrite bmeqP /=.
have Ub : (U_(i) <= b)%MM by rewrite lep1mP -lt0n (leq_ltn_trans _ lt).
apply/andP/eqP => [[_ /eqP ->]|E]; first by rewrite addmK.
by split; rewrite E ?submK // mnmBE mnm1E eqxx subn1 -ltnS prednK // (leq_ltn_trans _ lt).
Qed.

Lemma mixed_eq nu nu' a : nu =1 nu' -> mixed nu a = mixed nu' a.
Proof. by move=> E; apply: eq_bigr => i _; rewrite E. Qed.

(** (e) *)
Theorem convert_combination D c : supported D c ->
  combination D c = \sum_(a : 'X_{1..n < D.+1}) convert D c a *: 'X_[a].
Proof.
move=> H; pose nu (s : seq 'I_n) i := if i \in s then 1%N else D.-1.+1.
have axis i m k d (mu : 'I_n -> nat) : supported D d ->
    supported D (foldr (pass i) d (iota k m)) /\
    \sum_(a : 'X_{1..n < D.+1}) foldr (pass i) d (iota k m) a *: mixed (update i k mu) a =
    \sum_(a : 'X_{1..n < D.+1}) d a *: mixed (update i (k + m) mu) a.
  move=> Hd; elim: m k => [|m IH] k /=; first by rewrite addn0.
  have [Hs E] := IH k.+1; split; first exact: supported_pass.
  by rewrite sum_pass // E addSnnS.
have axes s : uniq s -> supported D (foldr (convert_axis D) c s) /\
    \sum_(a : 'X_{1..n < D.+1}) foldr (convert_axis D) c s a *: mixed (nu s) a =
    \sum_(a : 'X_{1..n < D.+1}) c a *: mixed (nu [::]) a.
  elim: s => [|i s IH] //= /andP[nis /IH [Hs E]]; rewrite -E /convert_axis.
  have [Hf F] := axis i D.-1 1%N _ (nu s) Hs; split=> //.
  transitivity (\sum_(a : 'X_{1..n < D.+1})
      foldr (pass i) (foldr (convert_axis D) c s) (iota 1 D.-1) a *: mixed (update i 1 (nu s)) a).
    apply: eq_bigr => a _; congr (_ *: _); apply: mixed_eq => j.
    by rewrite /nu /update inE; case: eqP.
  rewrite F; apply: eq_bigr => a _; congr (_ *: _); apply: mixed_eq => j.
  by rewrite /nu /update; case: eqP => // ->; rewrite (negbTE nis).
have [_ E] := axes _ (enum_uniq (mem 'I_n)); rewrite /convert.
transitivity (\sum_(a : 'X_{1..n < D.+1}) c a *: mixed (nu [::]) a).
  apply: eq_bigr => a _; congr (_ *: _); apply: eq_bigr => i _; rewrite /factor /nu in_nil.
  have le : (a i <= D.-1.+1)%N.
    have := bmdeg a; rewrite mdegE (bigD1 i) //= ltnS => /(leq_trans (leq_addr _ _)) le.
    by apply: leq_trans le _; case: (D).
  have /minn_idPr -> := le; have /eqP -> : (a i - D.-1.+1 == 0)%N by rewrite subn_eq0.
  by rewrite expr0 mulr1.
rewrite -E; apply: eq_bigr => a _; congr (_ *: _); rewrite mpolyXE_id; apply: eq_bigr => i _.
rewrite /factor /nu mem_enum; case: (a i) => [|m]; first by rewrite minn0 big_ord0 expr0 mulr1.
by rewrite (minn_idPl _) // big_ord1 subr0 subn1 -exprS.
Qed.
End Newton.

Lemma fact_neq0 (R : idomainType) D k : nonzero_upto R D -> (k <= D)%N -> k`!%:R != 0 :> R.
Proof.
move=> HD; elim: k => [|k IH] lt; first by rewrite oner_neq0.
by rewrite factS natrM mulf_neq0 ?IH ?HD // ltnW.
Qed.

Lemma factorial_neq0 (R : idomainType) n D (a : 'X_{1..n}) :
  nonzero_upto R D -> (mdeg a <= D)%N -> (factorial a)%:R != 0 :> R.
Proof.
move=> HD le; rewrite natr_prod; apply/prodf_neq0 => i _; apply: fact_neq0 HD _.
by rewrite (leq_trans _ le) // mdegE (bigD1 i) //= leq_addr.
Qed.

(** (a) *)
Theorem newton_interpolation (F : fieldType) n D (P : {mpoly F[n]}) (y : 'X_{1..n} -> F) :
  nonzero_upto F D -> degree_le D P -> (forall b, (mdeg b <= D)%N -> y b = value P b) ->
  P = combination D (fun a => Delta a y 0%MM / (factorial a)%:R).
Proof.
move=> HD /combinations_exist[c ->] H; apply: eq_bigr => a _; congr (_ *: _).
have le : (mdeg a <= D)%N by have := bmdeg a.
by rewrite (Delta_combination H) // mulfK // (factorial_neq0 HD).
Qed.

(** The coefficients of the polynomial with the values y: differences, division by a!, and
    conversion; off the lattice the table that is converted is zero. *)
Definition coefficients (F : fieldType) n D (y : 'X_{1..n} -> F) : 'X_{1..n} -> F :=
  convert D (fun a => if (mdeg a <= D)%N then Delta a y 0%MM / (factorial a)%:R else 0).

Theorem interpolation (F : fieldType) n D (P : {mpoly F[n]}) (y : 'X_{1..n} -> F) a :
  nonzero_upto F D -> degree_le D P -> (forall b, (mdeg b <= D)%N -> y b = value P b) ->
  (mdeg a <= D)%N -> P@_a = coefficients D y a.
Proof.
move=> HD HP H le; pose c a := if (mdeg a <= D)%N then Delta a y 0%MM / (factorial a)%:R else 0.
suff -> : P = combination D c.
  rewrite convert_combination ?(mcoeff_mpoly (convert D c)) // => b gt.
  by rewrite /c leqNgt gt.
rewrite (newton_interpolation HD HP H); apply: eq_bigr => b _; congr (_ *: _).
by rewrite /c ifT //; have := bmdeg b.
Qed.

(** (b) *)
Theorem lattice_determines (R : idomainType) n D (P Q : {mpoly R[n]}) :
  nonzero_upto R D -> degree_le D P -> degree_le D Q ->
  (forall b, (mdeg b <= D)%N -> value P b = value Q b) -> P = Q.
Proof.
move=> HD /combinations_exist[c ->] /combinations_exist[d ->] H.
apply: eq_bigr => a _; congr (_ *: _); have le : (mdeg a <= D)%N by have := bmdeg a.
apply: (mulIf (factorial_neq0 HD le)).
by rewrite -(Delta_combination H) // -(Delta_combination (D := D) (c := c)
  (F := value (combination D c))).
Qed.

(** (d) *)
Theorem lattice_agreement_is_equality (R : idomainType) D n l (N : network R n l) o
    (P : {mpoly R[n]}) :
  nonzero_upto R D -> (output_degree N o <= D)%N -> degree_le D P ->
  (forall b, (mdeg b <= D)%N -> value P b = evaluate N (\col_i (b i)%:R) o 0) ->
  P = expansion N o 0.
Proof.
move=> HD leD HP H; apply: lattice_determines HD HP _ _ => [|b le].
  by apply: (degree_le_mono leD); apply: expansion_degree.
rewrite H // -expansion_evaluates /value; apply: meval_eq => i; by rewrite mxE.
Qed.

(** Over an integral domain of characteristic 0 the expansion is the only polynomial with
    the values of the network. *)
Corollary expansion_unique (R : idomainType) n l (N : network R n l) o (P : {mpoly R[n]}) :
  [char R] =i pred0 -> (forall v : 'cV_n, P.@[fun i => v i 0] = evaluate N v o 0) ->
  P = expansion N o 0.
Proof.
move=> char0 H; apply: (@lattice_agreement_is_equality _ (maxn (output_degree N o) (msize P))).
- exact: nonzero_char0.
- exact: leq_maxl.
- by apply/degree_leP; rewrite ltnW // ltnS leq_maxr.
- by move=> b _; rewrite -H; apply: meval_eq => i; rewrite mxE.
Qed.
