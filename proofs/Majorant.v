(** * The size of coefficients, and their residues

    Write ||P|| for the sum of the absolute values of the coefficients of P. The majorant
    network has the absolute values of all parameters. Let Delta be an integer, for f64
    parameters 2, and let every parameter c have an exponent: Delta^(ex c) c is an integer.

    THEOREM (denominators and size). Let f be the expansion of a network of rationals.
      (a) ||f_o|| is at most the output o of the majorant network at (1, ..., 1).
      (b) Let every value v of the network have a number r_v with
            r_i b_i an integer and r_i w_ij an integer multiple of r_j    (affine layer),
            r_i' c_k an integer multiple of r_i^k                         (activation layer),
          from 1 for every input. Then r_o f_o has integer coefficients. In particular so has
          Delta^S f, where S follows the layers, from 0:
            affine      S' = max (max ex(weights) + S, max ex(biases)),
            activation  S' = max ex(coefficients) + d S.
      (c) Modulo a prime that divides no denominator of a parameter, the expansion of the
          reduced network is the reduced expansion.
      (d) Let q f have integer coefficients, M be at least the majorant's output o, and the
          product of distinct primes as in (c) exceed 2 q M. Then an integer c that is
          q times the coefficient of x^a modulo each of them determines it: the coefficient
          of x^a in f_o is the symmetric residue of c modulo their product, divided by q.

      (e) If |c| + q M is less than the product, it is c / q.

    As M is only a bound, it may be computed with any rounding upward. q is r_o or Delta^S.

    Code: src/network/exact.rs ([majorant], [Modulo]), src/expand/compose.rs ([Denominator]),
    src/expand/compare.rs ([CoefficientBits]), src/expand/stages.rs (the bound on which the
    choice of primes rests), src/expand/lattice/remainder.rs (Chinese remainders).
    Tests: tests/representation.rs (the_majorant_bounds_every_coefficient,
    dyadic_parameters_give_dyadic_coefficients). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly ssrcomplements.
From SLNN Require Import Representation.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import Order.Theory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** Networks of rationals. *)
Notation rational_network := (network [ringType of rat]).

(** ** The majorant network *)

Section Norm.
Variables (R : numDomainType) (n : nat).
Implicit Types p q : {mpoly R[n]}.

(** ||p|| *)
Definition norm p : R := \sum_(a <- msupp p) `|p@_a|.

Lemma norm_wide k p : (msize p <= k)%N -> norm p = \sum_(a : 'X_{1..n < k}) `|p@_a|.
Proof.
move=> le; rewrite /norm (big_mksub [subFinType of 'X_{1..n < k}]) ?msupp_uniq //=.
  by rewrite big_rmcond //= => a; move/memN_msupp_eq0 ->; rewrite normr0.
by move=> a /msize_mdeg_lt /leq_trans; apply.
Qed.

Lemma coefficient_le_norm p a : `|p@_a| <= norm p.
Proof.
have [in_p|/memN_msupp_eq0 ->] := boolP (a \in msupp p).
  by rewrite /norm (bigD1_seq a) ?msupp_uniq //= ler_addl sumr_ge0.
by rewrite normr0 sumr_ge0.
Qed.

Lemma normD p q : norm (p + q) <= norm p + norm q.
Proof.
pose k := maxn (msize (p + q)) (maxn (msize p) (msize q)).
rewrite !(@norm_wide k) ?leq_max ?leqnn ?orbT // -big_split /=.
by apply: ler_sum => a _; rewrite mcoeffD ler_norm_add.
Qed.

Lemma norm0 : norm 0 = 0. Proof. by rewrite /norm msupp0 big_nil. Qed.

Lemma norm_monomial c a : norm (c *: 'X_[a]) = `|c|.
Proof.
have [->|nz] := eqVneq c 0; first by rewrite scale0r norm0 normr0.
by rewrite /norm msuppMCX // big_seq1 mcoeffZ mcoeffX eqxx mulr1.
Qed.

Lemma norm_const c : norm c%:MP = `|c|.
Proof. by rewrite -(norm_monomial c 0) mpolyX0 -mul_mpolyC mulr1. Qed.

Lemma norm_sum (I : Type) (s : seq I) (F : I -> {mpoly R[n]}) :
  norm (\sum_(i <- s) F i) <= \sum_(i <- s) norm (F i).
Proof.
elim/big_rec2: _ => [|i x p _ le]; first by rewrite norm0.
by apply: le_trans (normD _ _) _; rewrite ler_add2l.
Qed.

Lemma normM p q : norm (p * q) <= norm p * norm q.
Proof.
rewrite mpolyME; apply: le_trans (norm_sum _ _) _.
rewrite big_allpairs [norm p]/norm [norm q]/norm mulr_suml; apply: ler_sum => a _.
by rewrite mulr_sumr; apply: ler_sum => b _; rewrite norm_monomial normrM.
Qed.
End Norm.

(** The output of the majorant network at (1, ..., 1). *)
Definition majorant (R : numDomainType) n l (N : network R n l) : 'cV[R]_l :=
  evaluate (over Num.norm N) (const_mx 1).

(** (a) *)
Theorem majorant_bounds_norm (R : numDomainType) n l (N : network R n l) o :
  norm (expansion N o 0) <= majorant N o 0.
Proof.
apply: (evaluate_related (r := fun (p : {mpoly R[n]}) c => norm p <= c)).
- by rewrite norm0.
- by rewrite norm_const normr1.
- by move=> p q x y Hp Hq; apply: le_trans (normD _ _) _; apply: ler_add.
- move=> p q x y Hp Hq; apply: le_trans (normM _ _) _.
  by apply: ler_pmul; rewrite ?sumr_ge0.
- by apply: every_true => c; rewrite norm_const.
- by move=> i; rewrite !mxE -['X_i]scale1r norm_monomial normr1.
Qed.

(** ** Denominators *)

(** From common denominators r of the inputs' coefficients to s, of the outputs'. *)
Fixpoint denominators n l (N : rational_network n l) : ('I_n -> rat) -> ('I_l -> rat) -> Prop :=
  match N with
  | Output _ => fun r s => s =1 r
  | Affine _ _ _ W b N' => fun r s => exists r',
      [/\ forall i j, exists z : int, r' i * W i j = z%:~R * r j,
          forall i, r' i * b i 0 \is a Qint & denominators N' r' s]
  | Activation _ _ p N' => fun r s => exists r',
      (forall i k, exists z : int, r' i * (p i)`_k = z%:~R * r i ^+ k) /\ denominators N' r' s
  end.

Section Denominators.
Variable n : nat.
Implicit Types p q : {mpoly rat[n]}.

(** r p has integer coefficients. *)
Definition integral_over r p := forall a, r * p@_a \is a Qint.

Lemma integral_sum r (I : Type) (s : seq I) (F : I -> {mpoly rat[n]}) :
  (forall i, integral_over r (F i)) -> integral_over r (\sum_(i <- s) F i).
Proof. by move=> H a; rewrite raddf_sum mulr_sumr rpred_sum // => i _; apply: H. Qed.

Lemma integral_const r c : r * c \is a Qint -> integral_over r c%:MP.
Proof. by move=> H a; rewrite mcoeffC mulrA rpredM // rpred_nat. Qed.

Lemma integral_mul r r' p q :
  integral_over r p -> integral_over r' q -> integral_over (r * r') (p * q).
Proof.
by move=> Hp Hq a; rewrite mcoeffM mulr_sumr rpred_sum // => b _; rewrite mulrACA rpredM.
Qed.

Lemma integral_exp r p k : integral_over r p -> integral_over (r ^+ k) (p ^+ k).
Proof.
move=> H; elim: k => [|k IH]; last by rewrite !exprS; apply: integral_mul.
by apply: integral_const; rewrite mulr1.
Qed.

Lemma integral_term r r' c p (z : int) :
  r' * c = z%:~R * r -> integral_over r p -> integral_over r' (c%:MP * p).
Proof. by move=> E H a; rewrite mcoeffCM mulrA E -mulrA rpredM // rpred_int. Qed.

Lemma integral_evaluate m l (N : rational_network m l) (x : 'cV_m) r s :
  denominators N r s -> (forall i, integral_over (r i) (x i 0)) ->
  forall o, integral_over (s o) (evaluate (over (@mpolyC n _) N) x o 0).
Proof.
elim: N x r s => {m l} [m|m k l W b N IH|m l p N IH] x r s /=.
- by move=> E H o; rewrite E.
- move=> [r' [HW Hb HN]] H; apply: IH HN _ => i; rewrite !mxE => a.
  rewrite mcoeffD mulrDr rpredD //; last exact: (integral_const (Hb i)).
  apply: integral_sum => j; rewrite mxE; have [z E] := HW i j.
  exact: (integral_term E (H j)).
- move=> [r' [Hp HN]] H; apply: IH HN _ => i; rewrite mxE horner_poly.
  apply: integral_sum => k; have [z E] := Hp i k.
  exact: (integral_term E (integral_exp k (H i))).
Qed.
End Denominators.

(** (b) *)
Theorem expansion_integral n l (N : rational_network n l) s o a :
  denominators N (fun=> 1) s -> s o * (expansion N o 0)@_a \is a Qint.
Proof.
move=> H; apply: (integral_evaluate H) => i b.
by rewrite mxE mcoeffX mul1r rpred_nat.
Qed.

Section Exponents.
Variables (Delta : nat) (ex : rat -> nat).

(** S after the layers of N, from e before them. *)
Fixpoint exponent n l (N : rational_network n l) (e : nat) : nat :=
  match N with
  | Output _ => e
  | Affine n k _ W b N' =>
      exponent N' (maxn ((\max_(i < k) \max_(j < n) ex (W i j)) + e) (\max_(i < k) ex (b i 0)%R))
  | Activation n _ p N' =>
      exponent N' ((\max_(i < n) \max_(k < size (p i)) ex (p i)`_k%R)
                   + (\max_(i < n) (size (p i)).-1) * e)
  end.

Lemma exponent_denominators n l (N : rational_network n l) e :
  every (fun c => Delta%:R ^+ ex c * c \is a Qint) N ->
  denominators N (fun=> Delta%:R ^+ e) (fun=> Delta%:R ^+ exponent N e).
Proof.
have more c i j : (ex c + i <= j)%N -> Delta%:R ^+ ex c * c \is a Qint ->
    exists z : int, Delta%:R ^+ j * c = z%:~R * Delta%:R ^+ i.
  move=> /subnK <- H; have: Delta%:R ^+ (j - (ex c + i)) * (Delta%:R ^+ ex c * c) \is a Qint.
    by rewrite rpredM // rpredX // rpred_nat.
  by case/QintP=> z E; exists z; rewrite -E !exprD -!mulrA [c * _]mulrC.
have enough c j : (ex c <= j)%N -> Delta%:R ^+ ex c * c \is a Qint ->
    Delta%:R ^+ j * c \is a Qint.
  by rewrite -{1}[ex c]addn0 => /more H /H [z ->]; rewrite mulr1 rpred_int.
elim: N e => //= {n l} [n k l W b N IH|n l p N IH] e => [[HW Hb HN]|[Hp HN]].
  eexists; split; [move=> i j|move=> i|exact: IH].
    apply: more (HW i j); rewrite leq_max leq_add2r (leq_trans _ (leq_bigmax i)) //.
    exact: leq_bigmax j.
  by apply: enough (Hb i); rewrite leq_max orbC (leq_bigmax i).
eexists; split; [move=> i k|exact: IH].
have [lt|ge] := ltnP k (size (p i)); last by exists 0; rewrite nth_default // mulr0 mul0r.
rewrite -exprM [(e * k)%N]mulnC; apply: more (Hp i _ (mem_nth 0 lt)); apply: leq_add.
  by apply: leq_trans (leq_bigmax i); apply: leq_bigmax (Ordinal lt).
rewrite leq_mul2r (leq_trans _ (leq_bigmax i)) ?orbT //.
by rewrite -ltnS prednK // (leq_ltn_trans _ lt).
Qed.
End Exponents.

(** (b), powers of Delta *)
Corollary expansion_exponent Delta ex n l (N : rational_network n l) o a :
  every (fun c => Delta%:R ^+ ex c * c \is a Qint) N ->
  Delta%:R ^+ exponent ex N 0 * (expansion N o 0)@_a \is a Qint.
Proof. by move=> /(exponent_denominators 0)/expansion_integral; apply. Qed.

(** ** Residues *)

Section Reduction.
Variable p : nat.

(** The rational x modulo p. *)
Definition reduce (x : rat) : 'F_p := (numq x)%:~R / (denq x)%:~R.

(** x is a fraction with a denominator prime to p, and y is its image. *)
Definition reduces (x : rat) (y : 'F_p) :=
  exists a b : int, [/\ b%:~R != 0 :> 'F_p, x = a%:~R / b%:~R & y = a%:~R / b%:~R].

Lemma reduces_ratio (a b : int) :
  b%:~R != 0 :> 'F_p -> reduces (a%:~R / b%:~R) (a%:~R / b%:~R).
Proof. by exists a, b. Qed.

Lemma reduces_int (a : int) : reduces a%:~R a%:~R.
Proof. by have := @reduces_ratio a 1 (oner_neq0 _); rewrite !divr1. Qed.

Lemma reducesD x x' y y' : reduces x y -> reduces x' y' -> reduces (x + x') (y + y').
Proof.
case=> a [b [b0 -> ->]] [c [d [d0 -> ->]]].
have nz (k : int) : k%:~R != 0 :> 'F_p -> k%:~R != 0 :> rat.
  by apply: contra; rewrite intr_eq0 => /eqP ->.
rewrite !addf_div ?nz // -!intrM -!intrD; apply: reduces_ratio.
by rewrite intrM mulf_neq0.
Qed.

Lemma reducesM x x' y y' : reduces x y -> reduces x' y' -> reduces (x * x') (y * y').
Proof.
case=> a [b [b0 -> ->]] [c [d [d0 -> ->]]]; rewrite !mulf_div -!intrM.
by apply: reduces_ratio; rewrite intrM mulf_neq0.
Qed.

Lemma reduces_bool (b : bool) : reduces b%:R b%:R.
Proof. by case: b; [apply: (reduces_int 1) | apply: (reduces_int 0)]. Qed.

(** An integer has no other image than its residue. *)
Lemma reduces_int_eq (c : int) y : reduces c%:~R y -> y = c%:~R.
Proof.
case=> a [b [b0 E ->]]; have nz : b%:~R != 0 :> rat.
  by move: b0; apply: contra; rewrite intr_eq0 => /eqP ->.
move: E => /(congr1 ( *%R^~ b%:~R)); rewrite /= divfK // -intrM => /intr_inj <-.
by rewrite intrM mulfK.
Qed.

Lemma intr_Fp_eq0 (c : int) : prime p -> (c%:~R == 0 :> 'F_p) = (p %| c)%Z.
Proof.
move=> pp; have H k : (k%:R == 0 :> 'F_p) = (p %| k)%N.
  by rewrite -(dvdn_charf (char_Fp pp)).
by case: c => k; rewrite ?NegzE ?rmorphN ?oppr_eq0 dvdzE /= ?abszN /= -?pmulrn H.
Qed.

Lemma reduces_reduce x : prime p -> ~~ (p %| denq x)%Z -> reduces x (reduce x).
Proof.
by move=> pp; rewrite -intr_Fp_eq0 // => nz; rewrite -{1}[x]divq_num_den; apply: reduces_ratio.
Qed.

(** (c) *)
Theorem reduced_expansion n l (N : rational_network n l) o a :
  prime p -> every (fun c => ~~ (p %| denq c)%Z) N ->
  reduces (expansion N o 0)@_a (expansion (over reduce N) o 0)@_a.
Proof.
move=> pp HN; rewrite /expansion over_over; move: a.
apply: (evaluate_related (r := fun (f : {mpoly rat[n]}) (g : {mpoly 'F_p[n]}) =>
  forall a, reduces f@_a g@_a)).
- by move=> a; rewrite !mcoeff0; apply: (reduces_int 0).
- by move=> a; rewrite !mcoeff1; apply: reduces_bool.
- by move=> f g f' g' Hf Hg a; rewrite !mcoeffD; apply: reducesD.
- move=> f g f' g' Hf Hg a; rewrite !mcoeffM.
  by elim/big_rec2: _ => [|b x y _]; [apply: (reduces_int 0) | apply: reducesD; apply: reducesM].
- apply: every_impl HN => c nd a; rewrite !mcoeffC; apply: reducesM.
    exact: reduces_reduce.
  exact: reduces_bool.
- move=> i a; rewrite !mxE !mcoeffX.
  exact: reduces_bool.
Qed.
End Reduction.

(** The integer congruent to c modulo P that is at least -P/2 and less than P/2. *)
Definition symmetric_residue (P : nat) (c : int) : int :=
  let r := (c %% P)%Z in if r *+ 2 < P then r else r - P%:Z.

Lemma symmetric_residue_eq (P : nat) (c k : int) :
  (P %| c - k)%Z -> `|k| *+ 2 < P -> symmetric_residue P c = k.
Proof.
rewrite -eqz_mod_dvd /symmetric_residue => /eqP -> lt.
have lt1 : `|k| < P by apply: le_lt_trans lt; rewrite mulr2n ler_addl.
have [k0|k0] := leP 0 k; first by rewrite ger0_norm // in lt lt1; rewrite modz_small ?k0 // lt.
rewrite ltr0_norm // in lt lt1.
have -> : (k %% P)%Z = k + P.
  rewrite -(modzMDl 1 k P) mul1r addrC modz_small // gtr_addr k0 andbT.
  by rewrite -ler_subl_addr sub0r ler_oppl ltW.
rewrite ifN ?addrK // -leNgt mulrnDl [P%:Z *+ 2]mulr2n addrA ler_addr.
by rewrite -ler_subl_addr sub0r ler_oppl -mulNrn ltW.
Qed.

Lemma dvdz_primes (ps : seq nat) (c : int) : uniq ps -> all prime ps ->
  (forall p : nat, p \in ps -> (p %| c)%Z) -> ((\prod_(p <- ps) p)%N %| c)%Z.
Proof.
elim: ps => [|p ps IH] /=; first by rewrite big_nil dvd1z.
move=> /andP[np us] /andP[pp ap] H; rewrite big_cons PoszM Gauss_dvdz.
  by rewrite H ?mem_head // IH // => q qs; rewrite H // inE qs orbT.
rewrite coprimezE !absz_nat; elim: (ps) np ap {IH us H} => [|q s IH].
  by rewrite big_nil coprimen1.
rewrite inE negb_or => /andP[npq nps] /= /andP[pq ap]; rewrite big_cons coprimeMr IH //.
by rewrite prime_coprime // dvdn_prime2 // npq.
Qed.

(** q times the coefficient of x^a is an integer of size at most q M; the integer c is equal to
    it modulo each of the primes ps. *)
Section Coefficient.
Variables (n l : nat) (N : rational_network n l) (o : 'I_l) (a : 'X_{1..n}).
Variables (q : nat) (M : rat) (ps : seq nat) (c : int).
Hypothesis q_gt0 : (0 < q)%N.
Hypothesis q_integral : q%:R * (expansion N o 0)@_a \is a Qint.
Hypothesis M_bounds : majorant N o 0 <= M.
Hypothesis ps_uniq : uniq ps.
Hypothesis ps_prime : all prime ps.
Hypothesis ps_suit : forall p : nat, p \in ps -> every (fun x => ~~ (p %| denq x)%Z) N.
Hypothesis c_residues : forall p, p \in ps ->
  c%:~R = q%:R * (expansion (over (reduce p) N) o 0)@_a.

Lemma coefficient_congruent : exists k : int,
  [/\ (expansion N o 0)@_a = k%:~R / q%:R, ((\prod_(p <- ps) p)%N %| c - k)%Z &
      `|k|%:~R <= q%:R * M].
Proof.
have q_neq0 : q%:R != 0 :> rat by rewrite pnatr_eq0 -lt0n.
have /QintP[k Ek] := q_integral; exists k; split; first by rewrite -Ek mulrC mulKf.
  apply: dvdz_primes => // p ip; have pp : prime p := allP ps_prime p ip.
  rewrite -intr_Fp_eq0 // rmorphB /= (c_residues ip) subr_eq0; apply/eqP/(@reduces_int_eq p).
  rewrite -Ek; apply: reducesM; first by rewrite pmulrn; apply: reduces_int.
  by apply: reduced_expansion => //; apply: ps_suit.
rewrite intr_norm -Ek normrM normr_nat ler_pmul2l ?ltr0n //.
exact: le_trans (coefficient_le_norm _ _) (le_trans (majorant_bounds_norm N o) M_bounds).
Qed.

(** (d) *)
Theorem coefficient_of_residues : q%:R * M *+ 2 < (\prod_(p <- ps) p)%:R ->
  (expansion N o 0)@_a = (symmetric_residue (\prod_(p <- ps) p) c)%:~R / q%:R.
Proof.
have [k [-> dvd le]] := coefficient_congruent => lt; congr (_%:~R / _).
rewrite (symmetric_residue_eq dvd) // -(ltr_int rat_numDomainType) rmorphMn /=.
by apply: le_lt_trans lt; rewrite ler_pmuln2r.
Qed.

(** (e) *)
Theorem coefficient_of_small_residue : `|c|%:~R + q%:R * M < (\prod_(p <- ps) p)%:R ->
  (expansion N o 0)@_a = c%:~R / q%:R.
Proof.
have [k [-> dvd le]] := coefficient_congruent => lt; congr (_%:~R / _).
have ltP : `|c - k| < (\prod_(p <- ps) p)%N.
  rewrite -(ltr_int rat_numDomainType); apply: le_lt_trans lt.
  have := ler_norm_sub c k; rewrite -(ler_int rat_numDomainType) rmorphD /= => /le_trans.
  by apply; rewrite ler_add2l intr_norm; move: le; rewrite intr_norm.
apply/esym/eqP; rewrite -subr_eq0; apply: contraTT dvd => nz.
rewrite dvdzE absz_nat; apply/negP => /dvdn_leq; rewrite absz_gt0 nz => /(_ isT).
by rewrite leqNgt -ltz_nat abszE ltP.
Qed.
End Coefficient.
