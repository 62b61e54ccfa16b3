(** * An SLNN is a collection of polynomials

    A network is a list of layers over a commutative ring R. An affine layer takes z to
    W z + b; an activation layer takes z_i to p_i(z_i), with a polynomial p_i in one
    variable for each neuron. Layers come in any order, so that

        y = W_(L+1) h_L + b_(L+1),    h_l = p_l (W_l h_(l-1) + b_l),    h_0 = x

    is one case. Write n for the number of inputs, d_l for the largest degree of layer l
    and D = d_1 ... d_L. Let delta = 1 for every input, delta_i = max_j delta_j over w_ij <> 0
    for a neuron of an affine layer, and delta_i' = (degree of p_i) delta_i for one of an
    activation layer. The expansion f of the network is its evaluation at the
    variables x_1, ..., x_n, in the ring R[x_1, ..., x_n].

    THEOREM (representation).
      (a) f(v) is the output of the network at v, for every point v of R^n, and more
          generally of S^n, when the parameters are taken to a commutative ring S.
      (b) An output f_o has total degree at most delta_o, and delta_o <= D.
      (c) It has at most C(n + delta_o, delta_o) terms.
      (d) Cutting every intermediate result above total degree Q yields f cut above Q.

    Over an integral domain of characteristic 0 or larger than D, f is the only polynomial
    of total degree at most D with (a): see Interpolation.v.

    Code: src/network/exact.rs ([Algebra]: it is (a); [ExactNetwork::over] is [over],
    [ExactNetwork::evaluate] is [evaluate] on the layers [ExactLayer::Affine] and, where
    all are polynomials or the identity, [ExactLayer::Neurons], whose list is repeated for
    a wider layer), src/expand/compose.rs ([expand_watched]: (a) and (d)),
    src/expand/plan.rs ([Sizes]: (b) and (c)).
    The Rust also evaluates, as they stand, [ExactLayer::Shared], an affine map at many
    places (convolution, average pooling), and [ExactLayer::Residual], y + f(y). These are
    affine layers with most weights 0, and identity neurons that carry y along; that is
    not proved here. [ExactLayer::Max] and other activations are no polynomials.
    Tests: tests/representation.rs (every_expansion_equals_its_network),
    tests/expansion.rs (the_plan_bounds_the_expansion,
    the_low_degree_part_is_that_of_the_whole). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

(** ** Networks *)

(** Networks over R with n inputs and l outputs. *)
Inductive network (R : ringType) : nat -> nat -> Type :=
| Output n : network R n n
| Affine n k l of 'M[R]_(k, n) & 'cV[R]_k & network R k l : network R n l
| Activation n l of ('I_n -> {poly R}) & network R n l : network R n l.

(** The outputs at the inputs x. *)
Fixpoint evaluate (R : ringType) n l (N : network R n l) : 'cV[R]_n -> 'cV[R]_l :=
  match N with
  | Output _ => fun x => x
  | Affine _ _ _ W b N' => fun x => evaluate N' (W *m x + b)
  | Activation _ _ p N' => fun x => evaluate N' (\col_i (p i).[x i 0])
  end.

(** The same network with every parameter c replaced by f c. *)
Fixpoint over (R S : ringType) (f : R -> S) n l (N : network R n l) : network S n l :=
  match N with
  | Output _ => Output S _
  | Affine _ _ _ W b N' => Affine (map_mx f W) (map_mx f b) (over f N')
  | Activation _ _ p N' => Activation (fun i => map_poly f (p i)) (over f N')
  end.

(** Every parameter of the network satisfies P. *)
Fixpoint every (R : ringType) (P : R -> Prop) n l (N : network R n l) : Prop :=
  match N with
  | Output _ => True
  | Affine _ _ _ W b N' => [/\ forall i j, P (W i j), forall i, P (b i 0) & every P N']
  | Activation _ _ p N' => (forall i c, c \in (p i : seq R) -> P c) /\ every P N'
  end.

(** Bounds delta' of the total degrees of the outputs, from bounds delta of the inputs'. *)
Fixpoint degrees (R : ringType) n l (N : network R n l) : ('I_n -> nat) -> 'I_l -> nat :=
  match N with
  | Output _ => fun delta => delta
  | Affine n _ _ W _ N' => fun delta => degrees N' (fun i => \max_(j < n | W i j != 0) delta j)
  | Activation _ _ p N' => fun delta => degrees N' (fun i => (size (p i)).-1 * delta i)%N
  end.

Definition output_degree (R : ringType) n l (N : network R n l) : 'I_l -> nat :=
  degrees N (fun=> 1%N).

(** D: the product of the degrees of the activation layers. *)
Fixpoint degree (R : ringType) n l (N : network R n l) : nat :=
  match N with
  | Output _ => 1
  | Affine _ _ _ _ _ N' => degree N'
  | Activation n _ p N' => (\max_(i < n) (size (p i)).-1) * degree N'
  end.

(** The polynomials of the outputs. *)
Definition expansion (R : ringType) n l (N : network R n l) : 'cV[{mpoly R[n]}]_l :=
  evaluate (over (@mpolyC n R) N) (\col_i 'X_i).

Lemma every_true (R : ringType) (P : R -> Prop) n l (N : network R n l) :
  (forall c, P c) -> every P N.
Proof. by move=> H; elim: N => //= {n l} [n k l W b N|n l p N]; split. Qed.

Lemma every_impl (R : ringType) (P Q : R -> Prop) n l (N : network R n l) :
  (forall c, P c -> Q c) -> every P N -> every Q N.
Proof.
move=> H; elim: N => //= {n l} [n k l W b N IH [HW Hb /IH]|n l p N IH [Hp /IH]]; split; auto.
by move=> i c /Hp; apply: H.
Qed.

(** ** One network, two rings *)

(** A relation between two rings that respects 0, 1, sums and products passes from the
    parameters and the inputs to the outputs. *)
Section Related.
Variables (R S T : ringType) (r : S -> T -> Prop).
Hypotheses (r0 : r 0 0) (r1 : r 1 1).
Hypothesis rD : forall x x' y y', r x y -> r x' y' -> r (x + x') (y + y').
Hypothesis rM : forall x x' y y', r x y -> r x' y' -> r (x * x') (y * y').
Variables (f : R -> S) (g : R -> T).

Lemma related_sum (I : Type) (s : seq I) (F : I -> S) (G : I -> T) :
  (forall i, r (F i) (G i)) -> r (\sum_(i <- s) F i) (\sum_(i <- s) G i).
Proof. by move=> H; elim/big_rec2: _ => // i y x _; apply: rD. Qed.

Lemma related_exp x y k : r x y -> r (x ^+ k) (y ^+ k).
Proof. by move=> H; elim: k => [|k IH]; rewrite ?expr0 // !exprS; apply: rM. Qed.

Lemma evaluate_related n l (N : network R n l) (x : 'cV_n) (y : 'cV_n) :
  every (fun c => r (f c) (g c)) N -> (forall i, r (x i 0) (y i 0)) ->
  forall o, r (evaluate (over f N) x o 0) (evaluate (over g N) y o 0).
Proof.
elim: N x y => {n l} [n|n k l W b N IH|n l p N IH] x y //= => [[HW Hb HN]|[Hp HN]] H.
  apply: IH => // i; rewrite !mxE; apply: rD => //.
  by apply: related_sum => j; rewrite !mxE; apply: rM.
apply: IH => // i; rewrite !mxE !horner_poly; apply: related_sum => k.
by apply: rM; [apply: (Hp i); rewrite mem_nth | apply: related_exp].
Qed.
End Related.

(** A homomorphism of rings commutes with evaluation. *)
Lemma evaluate_morph (R S T : ringType) (f : R -> S) (g : R -> T) (h : {rmorphism S -> T})
    n l (N : network R n l) x :
  (forall c, h (f c) = g c) ->
  map_mx h (evaluate (over f N) x) = evaluate (over g N) (map_mx h x).
Proof.
move=> fg; apply/colP => o; rewrite mxE.
apply: (evaluate_related (r := fun y z => h y = z)) => //; rewrite ?rmorph0 ?rmorph1 //.
- by move=> y y' z z' <- <-; rewrite rmorphD.
- by move=> y y' z z' <- <-; rewrite rmorphM.
- exact: every_true.
- by move=> i; rewrite mxE.
Qed.

(** (a) in every commutative ring S to which the parameters are taken. *)
Theorem expansion_evaluates_over (R : ringType) (S : comRingType) (f : {rmorphism R -> S})
    n l (N : network R n l) (v : 'cV[S]_n) :
  map_mx (mmap f (fun i => v i 0)) (expansion N) = evaluate (over f N) v.
Proof.
rewrite (evaluate_morph (g := f)) => [|c]; last exact: mmapC.
by congr evaluate; apply/colP => i; rewrite !mxE /= mmapX mmap1U.
Qed.

Lemma over_id (R : ringType) n l (N : network R n l) x : evaluate (over id N) x = evaluate N x.
Proof.
elim: N x => //= {n l} [n k l W b N IH|n l p N IH] x; rewrite IH; first by rewrite !map_mx_id.
by congr evaluate; apply/colP => i; rewrite !mxE map_poly_id.
Qed.

Lemma over_over (R S T : ringType) (f : R -> S) (g : {rmorphism S -> T})
    n l (N : network R n l) x :
  evaluate (over g (over f N)) x = evaluate (over (g \o f) N) x.
Proof.
elim: N x => //= {n l} [n k l W b N IH|n l p N IH] x; rewrite IH.
  by rewrite -!map_mx_comp.
by congr evaluate; apply/colP => i; rewrite !mxE -map_poly_comp.
Qed.

(** (a) *)
Theorem expansion_evaluates (R : comRingType) n l (N : network R n l) (v : 'cV[R]_n) o :
  (expansion N o 0).@[fun i => v i 0] = evaluate N v o 0.
Proof. by rewrite -over_id -(expansion_evaluates_over [rmorphism of idfun]) mxE. Qed.

(** ** Degree and number of terms *)

Section Degree.
Variables (R : ringType) (n : nat).
Implicit Types p q : {mpoly R[n]}.

(** The total degree of p is at most k. *)
Definition degree_le k p := forall a, (k < mdeg a)%N -> p@_a = 0.

Lemma degree_leP k p : degree_le k p <-> (msize p <= k.+1)%N.
Proof.
split=> [H|H a lt]; last by apply/memN_msupp_eq0/msize_mdeg_ge/(leq_trans H).
rewrite msizeE; apply/bigmax_leqP_seq => a; rewrite mcoeff_msupp => nz _.
by rewrite ltnS leqNgt; apply: contra nz => /H ->.
Qed.

Lemma degree_le_mono j k p : (j <= k)%N -> degree_le j p -> degree_le k p.
Proof. by move=> le H a lt; apply/H/(leq_ltn_trans le). Qed.

Lemma degree_le_add k p q : degree_le k p -> degree_le k q -> degree_le k (p + q).
Proof. by move=> Hp Hq a lt; rewrite mcoeffD Hp // Hq // addr0. Qed.

Lemma degree_le_sum k (I : Type) (s : seq I) (F : I -> {mpoly R[n]}) :
  (forall i, degree_le k (F i)) -> degree_le k (\sum_(i <- s) F i).
Proof. by move=> H a lt; rewrite raddf_sum big1 // => i _; apply: H. Qed.

Lemma degree_le_const k c : degree_le k (c%:MP).
Proof. by move=> a; rewrite mcoeffC -mdeg_eq0; case: (mdeg a) => // i _; rewrite mulr0. Qed.

Lemma degree_le_mul j k p q : degree_le j p -> degree_le k q -> degree_le (j + k) (p * q).
Proof.
move=> Hp Hq a lt; rewrite mcoeffM big1 // => -[b c] /= /eqP E.
have [/Hp ->|le] := ltnP j (mdeg b); first by rewrite mul0r.
rewrite Hq ?mulr0 // ltnNge; apply: contraL lt => le'.
by rewrite E mdegD -leqNgt leq_add.
Qed.

Lemma degree_le_exp k p i : degree_le k p -> degree_le (i * k) (p ^+ i).
Proof.
move=> H; elim: i => [|i IH]; first by rewrite expr0; apply: degree_le_const.
by rewrite exprS mulSn; apply: degree_le_mul.
Qed.

Lemma degree_evaluate m l (N : network R m l) (x : 'cV_m) delta :
  (forall i, degree_le (delta i) (x i 0)) ->
  forall o, degree_le (degrees N delta o) (evaluate (over (@mpolyC n R) N) x o 0).
Proof.
elim: N x delta => //= {m l} [m j l W b N IH|m l p N IH] x delta H; apply: IH => i.
  rewrite !mxE; apply: degree_le_add; last exact: degree_le_const.
  apply: degree_le_sum => c; rewrite mxE; have [->|nz] := eqVneq (W i c) 0.
    by rewrite mpolyC0 mul0r -mpolyC0; apply: degree_le_const.
  apply: degree_le_mono (leq_bigmax_cond c nz) _; rewrite -[delta c]add0n.
  by apply: degree_le_mul => //; apply: degree_le_const.
rewrite mxE horner_poly; apply: degree_le_sum => k.
rewrite -[X in degree_le X _]add0n; apply: degree_le_mul; first exact: degree_le_const.
apply: (degree_le_mono _ (degree_le_exp (H i))); rewrite leq_mul2r.
by rewrite -ltnS prednK ?ltn_ord ?orbT // (leq_ltn_trans _ (ltn_ord k)).
Qed.
End Degree.

Lemma degrees_le (R : ringType) n l (N : network R n l) delta k :
  (forall i, delta i <= k)%N -> forall o, (degrees N delta o <= degree N * k)%N.
Proof.
elim: N delta k => {n l} [n|n m l W b N IH|n l p N IH] delta k H o /=; first by rewrite mul1n.
  by apply: IH => i; apply/bigmax_leqP => j _.
by rewrite mulnAC [X in (_ <= X)%N]mulnC; apply: IH => i; rewrite leq_mul // leq_bigmax.
Qed.

(** A change of parameters that keeps zeros zero raises no degree. *)
Lemma degrees_over (R S : ringType) (f : R -> S) n l (N : network R n l) delta delta' :
  f 0 = 0 -> (forall i, delta i <= delta' i)%N ->
  forall o, (degrees (over f N) delta o <= degrees N delta' o)%N.
Proof.
move=> f0; elim: N delta delta' => //= {n l} [n m l W b N IH|n l p N IH] delta delta' H.
  apply: IH => i; apply/bigmax_leqP => j; rewrite mxE => nz.
  have nzW : W i j != 0 by apply: contra nz => /eqP ->; rewrite f0.
  by apply: leq_trans (H j) _; apply: leq_bigmax_cond.
by apply: IH => i; rewrite leq_mul // -!subn1 leq_sub2r // size_poly.
Qed.

(** (b) *)
Theorem expansion_degree (R : ringType) n l (N : network R n l) o :
  degree_le (output_degree N o) (expansion N o 0).
Proof.
apply: degree_evaluate => i a lt; rewrite mxE mcoeffX.
by case: eqP lt => // <-; rewrite mdeg1.
Qed.

Theorem output_degree_le (R : ringType) n l (N : network R n l) o :
  (output_degree N o <= degree N)%N.
Proof. by rewrite -[degree N]muln1; apply: degrees_le. Qed.

(** There are C(n + D, D) exponents of total degree at most D. *)
Lemma count_exponents n D (s : seq 'X_{1..n}) :
  uniq s -> (forall a, a \in s -> (mdeg a <= D)%N) -> (size s <= 'C(n + D, D))%N.
Proof.
move=> us Hs; pose t (a : 'X_{1..n}) := [tuple (inord (a i) : 'I_D.+1) | i < n].
have tE a i : a \in s -> tnth (t a) i = a i :> nat.
  move=> /Hs le; rewrite tnth_mktuple inordK // ltnS (leq_trans _ le) //.
  by rewrite mdegE (bigD1 i) //= leq_addr.
have tinj : {in s &, injective t}.
  by move=> a b sa sb E; apply/mnmP => i; rewrite -!tE // E.
rewrite -(size_map t) -(card_uniqP _) ?map_inj_in_uniq //.
rewrite -bin_sub ?leq_addl // addnK -card_partial_ord_partitions.
apply/subset_leq_card/subsetP => _ /mapP[a sa ->]; rewrite inE big_tuple.
by rewrite (eq_bigr (fun i => a i)) => [|i _]; rewrite ?tE // -mdegE Hs.
Qed.

(** (c) *)
Theorem expansion_terms (R : ringType) n l (N : network R n l) o :
  let D := output_degree N o in (size (msupp (expansion N o 0)%R) <= 'C(n + D, D))%N.
Proof.
apply: count_exponents (msupp_uniq _) _ => a; rewrite mcoeff_msupp leqNgt.
by apply: contra => /expansion_degree ->.
Qed.

(** ** Truncation *)

Section Truncation.
Variables (R : ringType) (n Q : nat).
Implicit Types p q : {mpoly R[n]}.

(** The part of p of total degree at most Q. *)
Definition truncate p : {mpoly R[n]} := \sum_(a : 'X_{1..n < Q.+1}) p@_a *: 'X_[a].

Lemma mcoeff_truncate p a : (truncate p)@_a = if (mdeg a <= Q)%N then p@_a else 0.
Proof.
have [le|lt] := leqP; first by rewrite (mcoeff_mpoly (fun a => p@_a)).
rewrite raddf_sum big1 //= => b _; rewrite mcoeffZ mcoeffX.
by case: eqP lt (bmdeg b) => [<-|]; rewrite ?mulr0 // => /leq_gtF ->.
Qed.

Lemma truncateD p q : truncate (p + q) = truncate p + truncate q.
Proof.
by apply/mpolyP => a; rewrite mcoeffD !mcoeff_truncate mcoeffD; case: ifP; rewrite ?addr0.
Qed.

Lemma truncate_const c : truncate c%:MP = c%:MP.
Proof.
by apply/mpolyP => a; rewrite mcoeff_truncate; case: leqP => // /(degree_le_const c) ->.
Qed.

Lemma truncateM p q : truncate (truncate p * truncate q) = truncate (p * q).
Proof.
apply/mpolyP => a; rewrite !mcoeff_truncate; case: leqP => // le.
have parts (b c : 'X_{1..n}) : a = (b + c)%MM -> (mdeg b <= Q)%N /\ (mdeg c <= Q)%N.
  by move=> E; rewrite !(leq_trans _ le) // E mdegD ?leq_addr ?leq_addl.
rewrite !mcoeffM; apply: eq_bigr => -[b c] /= /eqP /parts [leb lec].
by rewrite !mcoeff_truncate leb lec.
Qed.

(** Horner's rule, every product cut. *)
Definition horner_upto (p : {poly R}) (z : {mpoly R[n]}) : {mpoly R[n]} :=
  foldr (fun c y => truncate (y * z) + c%:MP) 0 p.

Fixpoint evaluate_upto m l (N : network R m l) : 'cV[{mpoly R[n]}]_m -> 'cV[{mpoly R[n]}]_l :=
  match N with
  | Output _ => fun x => x
  | Affine _ _ _ W b N' =>
      fun x => evaluate_upto N' (map_mx (@mpolyC n R) W *m x + map_mx (@mpolyC n R) b)
  | Activation _ _ p N' => fun x => evaluate_upto N' (\col_i horner_upto (p i) (x i 0))
  end.

Lemma horner_upto_truncate (p : {poly R}) (z : {mpoly R[n]}) :
  horner_upto p (truncate z) = truncate (map_poly (@mpolyC n R) p).[z].
Proof.
rewrite map_polyE horner_Poly /horner_upto.
elim: (p : seq R) => /= [|c s ->]; first by rewrite -mpolyC0 truncate_const.
by rewrite truncateM truncateD truncate_const.
Qed.

Lemma evaluate_upto_truncate m l (N : network R m l) (x : 'cV_m) :
  evaluate_upto N (map_mx truncate x) =
  map_mx truncate (evaluate (over (@mpolyC n R) N) x).
Proof.
elim: N x => //= {m l} [m k l W b N IH|m l p N IH] x; rewrite -IH; congr evaluate_upto.
  apply/colP => i; rewrite !mxE truncateD truncate_const; congr (_ + _).
  elim/big_rec2: _ => [|j z y _ ->]; first by rewrite -mpolyC0 truncate_const.
  rewrite truncateD !mxE; congr (_ + _); apply/mpolyP => a.
  by rewrite mcoeffCM !mcoeff_truncate mcoeffCM; case: ifP; rewrite ?mulr0.
by apply/colP => i; rewrite !mxE horner_upto_truncate.
Qed.
End Truncation.

(** (d) *)
Theorem truncated_expansion (R : ringType) Q n l (N : network R n l) :
  evaluate_upto Q N (\col_i truncate Q 'X_i) = map_mx (truncate Q) (expansion N).
Proof.
by rewrite -evaluate_upto_truncate; congr evaluate_upto; apply/colP => i; rewrite !mxE.
Qed.

(** ** An example: XOR takes one neuron, (x_1 - x_2)^2 *)

Definition xor : network [ringType of rat] 2 1 :=
  Affine (\row_(j < 2) (-1) ^+ j) 0 (Activation (fun=> 'X^2) (Output _ 1)).

Example xor_expansion :
  expansion xor 0 0 = 'X_0 ^+ 2 - 'X_0 * 'X_1 *+ 2 + 'X_1 ^+ 2 :> {mpoly rat[2]}.
Proof.
rewrite /expansion /= !mxE map_polyXn hornerXn !big_ord_recl big_ord0 !mxE /=.
rewrite expr0 expr1 mpolyCN mpolyC0 mpolyC1 !addr0 mul1r mulN1r sqrrB.
by rewrite (_ : lift ord0 ord0 = 1) //; apply: val_inj.
Qed.
