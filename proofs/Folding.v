(** * Every basis folds to powers

    A SLAF computes phi(z) = sum_k c_k B_k(z), k <= d, in a basis:

      monomial                   B_k = z^k;
      normalised monomial        B_0 = 1, B_k = (z^k - m_k) s_k for k >= 1;
      Chebyshev, Legendre, Hermite, in t = (z - centre) scale:  B_0 = 1, and
        T_1 = t,    T_(k+1) = 2 t T_k - T_(k-1);
        P_1 = t,    (k+1) P_(k+1) = (2k+1) t P_k - k P_(k-1);
        H_1 = 2 t,  H_(k+1) = 2 t H_k - 2k H_(k-1).

    THEOREM (folding), over every field.
      (a) The polynomial that [fold] builds, in powers of z, has the values of the SLAF
          ([fold_value]) and degree at most d ([fold_size]).
      (b) The elements satisfy these recurrences as they stand, in characteristic 0 and
          wherever no k + 1 vanishes ([element_recurrence]).
      (c) So a network of SLAFs is the network of their folded polynomials
          ([folded_evaluates]), and the expansion of that one evaluates to it
          ([folded_expansion]).
      (d) With D the product of the degrees of the layers, each the largest d of its neurons,
          every output of a network of SLAFs in n inputs is, at every point, the value of one
          polynomial of total degree at most D with at most C(n + D, n) terms
          ([representation]).

    Code: src/network/fold.rs ([Slaf::fold]). It runs the recurrences in powers of t on integers
    over powers of two, and puts (z - centre) scale for t in integers over one denominator;
    that the divisions of Legendre's leave no remainder is not proved here.
    Tests: tests/representation.rs (folding_preserves_every_basis). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly.
From SLNN Require Import Representation.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Inductive family := Chebyshev | Legendre | Hermite.
(** B_1 = first t, and divisor B_(k+1) = (factor t B_k) - (drop B_(k-1)). *)
Definition first f : nat := if f is Hermite then 2 else 1.
Definition factor f k : nat := if f is Legendre then k.*2.+1 else 2.
Definition drop_by f k : nat :=
  match f with Chebyshev => 1 | Legendre => k | Hermite => k.*2 end.
Definition divisor f k : nat := if f is Legendre then k.+1 else 1.

Section Folding.
Variable F : fieldType.
Implicit Types (f : family) (c : seq F) (z t : F) (k : nat).

(** B_k and B_(k+1) at t. *)
Fixpoint elements f t k : F * F :=
  if k is k'.+1 then
    let: (x, y) := elements f t k' in
    (y, (divisor f k)%:R^-1 * ((factor f k)%:R * (t * y) - (drop_by f k)%:R * x))
  else (1, (first f)%:R * t).
Definition element f t k := (elements f t k).1.

(** The same in polynomials. *)
Fixpoint elements_in f (t : {poly F}) k : {poly F} * {poly F} :=
  if k is k'.+1 then
    let: (x, y) := elements_in f t k' in
    (y, (divisor f k)%:R^-1 *: ((factor f k)%:R *: (t * y) - (drop_by f k)%:R *: x))
  else (1, (first f)%:R *: t).

(** A SLAF of one neuron: its basis and its coefficients c_0, ..., c_d. *)
Inductive slaf :=
| Monomial of seq F
| Normalised of (nat -> F) & (nat -> F) & seq F
| Orthogonal of family & F & F & seq F.

Definition coefficients (s : slaf) : seq F :=
  match s with Monomial c | Normalised _ _ c | Orthogonal _ _ _ c => c end.
(** B_k(z) *)
Definition basis (s : slaf) z k : F :=
  match s with
  | Monomial _ => z ^+ k
  | Normalised m s _ => if k == 0%N then 1 else (z ^+ k - m k) * s k
  | Orthogonal f centre scale _ => element f ((z - centre) * scale) k
  end.
Definition slaf_value (s : slaf) z : F := \sum_(k < size (coefficients s)) (coefficients s)`_k * basis s z k.

(** In powers of z. *)
Definition fold (s : slaf) : {poly F} :=
  match s with
  | Monomial c => Poly c
  | Normalised m s c =>
      let a k := if k == 0%N then c`_0 - \sum_(1 <= j < size c) c`_j * s j * m j else c`_k * s k in
      \poly_(k < size c) a k
  | Orthogonal f centre scale c =>
      let t := scale *: 'X - (centre * scale)%:P in
      \sum_(k < size c) c`_k *: (elements_in f t k).1
  end.

Lemma elements_in_value f (t : {poly F}) z k :
  ((elements_in f t k).1.[z], (elements_in f t k).2.[z]) = elements f t.[z] k.
Proof.
elim: k => [|k] /=; first by rewrite hornerZ hornerC.
case: (elements_in f t k) => x y /= <-.
by rewrite !(hornerZ, hornerD, hornerN, hornerM).
Qed.

Theorem fold_value s z : (fold s).[z] = slaf_value s z.
Proof.
rewrite /slaf_value; case: s => [c|m s c|f centre scale c] /=.
- by rewrite (horner_coef_wide _ (size_Poly c)); apply: eq_bigr => k _; rewrite coef_Poly.
- rewrite horner_poly; case: c => [|c0 c]; first by rewrite !big_ord0.
  rewrite !big_ord_recl /= expr0 !mulr1 -addrA; congr (_ + _).
  rewrite big_add1 /= big_mkord addrC -sumrB; apply: eq_bigr => k _.
  by rewrite /bump /= add1n -mulrBr -mulrA [s _ * _]mulrC.
- rewrite horner_sum; apply: eq_bigr => k _; rewrite hornerZ /element.
  have -> : (z - centre) * scale = (scale *: 'X - (centre * scale)%:P).[z].
    by rewrite !(hornerZ, hornerD, hornerN, hornerX, hornerC) mulrBl [scale * z]mulrC.
  by rewrite -elements_in_value.
Qed.

Lemma elements_in_size f (t : {poly F}) k : (size t <= 2)%N ->
  (size (elements_in f t k).1 <= k.+1)%N /\ (size (elements_in f t k).2 <= k.+2)%N.
Proof.
move=> le; elim: k => [|k] /=.
  by rewrite size_poly1; split=> //; apply: leq_trans (size_scale_leq _ _) le.
case: (elements_in f t k) => x y /= [Hx Hy]; split=> //.
apply: leq_trans (size_scale_leq _ _) _; apply: leq_trans (size_add _ _) _.
rewrite size_opp geq_max; apply/andP; split; apply: leq_trans (size_scale_leq _ _) _.
  apply: leq_trans (size_mul_leq _ _) _; apply: (@leq_trans (2 + k.+2).-1) => //.
  by rewrite -!subn1 leq_sub2r // leq_add.
by apply: leq_trans Hx _; rewrite -addn2 leq_addr.
Qed.

Theorem fold_size s : (size (fold s) <= size (coefficients s))%N.
Proof.
case: s => [c|m s c|f centre scale c] /=; [exact: size_Poly|exact: size_poly|].
apply: (leq_trans (size_sum _ _ _)); apply/bigmax_leqP => k _.
apply: leq_trans (size_scale_leq _ _) _.
have [|H _] := @elements_in_size f (scale *: 'X - (centre * scale)%:P) k.
  apply: leq_trans (size_add _ _) _; rewrite geq_max size_opp.
  rewrite (leq_trans (size_scale_leq _ _)) ?size_polyX //=.
  by rewrite (leq_trans (size_polyC_leq1 _)).
exact: leq_trans H (ltn_ord k).
Qed.

(** (b) *)
Theorem element_recurrence f t k : (divisor f k.+1)%:R != 0 :> F ->
  (divisor f k.+1)%:R * element f t k.+2 =
  (factor f k.+1)%:R * (t * element f t k.+1) - (drop_by f k.+1)%:R * element f t k.
Proof.
rewrite /element /=; case: (elements f t k) => x y /= nz.
by rewrite mulVKf.
Qed.
End Folding.

(** ** Networks of SLAFs *)

Inductive slaf_network (F : fieldType) : nat -> nat -> Type :=
| Outputs n : slaf_network F n n
| Linear n k l of 'M[F]_(k, n) & 'cV[F]_k & slaf_network F k l : slaf_network F n l
| Slafs n l of ('I_n -> slaf F) & slaf_network F n l : slaf_network F n l.

Fixpoint outputs (F : fieldType) n l (N : slaf_network F n l) : 'cV[F]_n -> 'cV[F]_l :=
  match N with
  | Outputs _ => fun x => x
  | Linear _ _ _ W b N' => fun x => outputs N' (W *m x + b)
  | Slafs _ _ s N' => fun x => outputs N' (\col_i slaf_value (s i) (x i 0))
  end.
Fixpoint folded (F : fieldType) n l (N : slaf_network F n l) : network F n l :=
  match N with
  | Outputs _ => Output F _
  | Linear _ _ _ W b N' => Affine W b (folded N')
  | Slafs _ _ s N' => Activation (fun i => fold (s i)) (folded N')
  end.

(** D: the product of the degrees of the layers, as their numbers of coefficients say them;
    that a leading one is zero does not count. *)
Fixpoint nominal_degree (F : fieldType) n l (N : slaf_network F n l) : nat :=
  match N with
  | Outputs _ => 1
  | Linear _ _ _ _ _ N' => nominal_degree N'
  | Slafs n _ s N' => (\max_(i < n) (size (coefficients (s i))).-1) * nominal_degree N'
  end.

(** (c) *)
Theorem folded_evaluates (F : fieldType) n l (N : slaf_network F n l) x :
  evaluate (folded N) x = outputs N x.
Proof.
elim: N x => //= {n l} n l s N IH x; rewrite IH; congr outputs.
by apply/colP => i; rewrite !mxE fold_value.
Qed.

Theorem folded_expansion (F : fieldType) n l (N : slaf_network F n l) (v : 'cV[F]_n) o :
  (expansion (folded N) o 0).@[fun i => v i 0] = outputs N v o 0.
Proof. by rewrite expansion_evaluates folded_evaluates. Qed.

Lemma folded_degree (F : fieldType) n l (N : slaf_network F n l) :
  (degree (folded N) <= nominal_degree N)%N.
Proof.
elim: N => //= {n l} n l s N IH; apply: leq_mul => //; apply/bigmax_leqP => i _.
apply: leq_trans (leq_bigmax i); rewrite -!subn1; apply: leq_sub2r; exact: fold_size.
Qed.

(** (d) *)
Corollary representation (F : fieldType) n l (N : slaf_network F n l) o :
  let D := nominal_degree N in
  exists p : {mpoly F[n]},
    [/\ forall v : 'cV[F]_n, outputs N v o 0 = p.@[fun i => v i 0],
        degree_le D p & (size (msupp p) <= 'C(n + D, n))%N].
Proof.
move=> D; have le : (output_degree (folded N) o <= D)%N.
  exact: leq_trans (output_degree_le _ _) (folded_degree N).
exists (expansion (folded N) o 0); split=> [v||]; first by rewrite folded_expansion.
  by apply: (degree_le_mono le); exact: expansion_degree.
apply: leq_trans (expansion_terms _ _) _.
by rewrite -[X in 'C(_, X)](addKn n) bin_sub ?leq_addr // leq_bin2l // leq_add2l.
Qed.
