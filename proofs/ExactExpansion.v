(** * The exact expansion by values on the lattice, modulo primes

    THEOREM (exact expansion). Let f_o be an output of the expansion of a network of
    rationals, of total degree at most D (the product of the degrees), let q f_o have integer
    coefficients (q = Delta^S), and let M bound the majorant network's output at (1, ..., 1).
    Take distinct primes larger than D that divide no denominator of a parameter, and whose
    product exceeds 2 q M. Evaluate the network modulo each of them on the lattice
    |b| <= D, interpolate by forward differences, and combine q times the residues of each
    coefficient by the Chinese remainder theorem. Their symmetric residues, divided by q, are
    the coefficients of f_o.

    Nothing but the values on the lattice enters, so whatever tabulates them may do so by
    additions alone (Interpolation.v, (c)).

    Code: src/expand/lattice/ (the whole of it).
    Tests: tests/representation.rs (every_expansion_equals_its_network). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly.
From SLNN Require Import Representation Interpolation Majorant.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import Order.Theory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** The coefficients that interpolate the network's values are those of its expansion. *)
Lemma coefficients_expansion (F : fieldType) D n l (N : network F n l) o y a :
  nonzero_upto F D -> (output_degree N o <= D)%N ->
  (forall b, (mdeg b <= D)%N -> y b = evaluate N (\col_i (b i)%:R) o 0) ->
  (mdeg a <= D)%N -> (expansion N o 0)@_a = coefficients D y a.
Proof.
move=> HD leD H; apply: interpolation => // [|b le].
  by apply: (degree_le_mono leD); apply: expansion_degree.
by rewrite H // -expansion_evaluates; apply: meval_eq => i; rewrite mxE.
Qed.

Theorem exact_expansion n l (N : network rat_Ring n l) o D (q : nat) (M : rat) (ps : seq nat)
    (y : forall p, 'X_{1..n} -> 'F_p) (c : 'X_{1..n} -> int) :
  (output_degree N o <= D)%N ->
  (0 < q)%N -> (forall a, q%:R * (expansion N o 0)@_a \is a Qint) ->
  majorant N o 0 <= M -> q%:R * M *+ 2 < (\prod_(p <- ps) p)%:R ->
  uniq ps -> all prime ps -> (forall p, p \in ps -> (D < p)%N) ->
  (forall p : nat, p \in ps -> every (fun x => ~~ (p %| denq x)%Z) N) ->
  (forall p b, p \in ps -> (mdeg b <= D)%N ->
     y p b = evaluate (over (reduce p) N) (\col_i (b i)%:R) o 0) ->
  (forall p a, p \in ps -> (mdeg a <= D)%N -> (c a)%:~R = q%:R * coefficients D (y p) a) ->
  expansion N o 0 = \sum_(a : 'X_{1..n < D.+1})
    ((symmetric_residue (\prod_(p <- ps) p) (c a))%:~R / q%:R) *: 'X_[a].
Proof.
move=> leD q0 Hq HM lt us ap gtD HN Hy Hc; set f := expansion N o 0.
have /degree_leP/mpolywE -> : degree_le D f by apply: (degree_le_mono leD); apply: expansion_degree.
apply: eq_bigr => a _; congr (_ *: _); have le : (mdeg a <= D)%N by have := bmdeg a.
apply: (coefficient_of_residues q0 (Hq a) HM us ap HN _ lt) => p ip; rewrite (Hc p a ip le).
rewrite -(coefficients_expansion (N := over (reduce p) N) (o := o)) //.
- apply: (@nonzero_charp _ p); last exact: gtD.
  by apply: char_Fp; apply: (allP ap).
- by apply: leq_trans _ leD; apply: degrees_over; rewrite // /reduce mul0r.
- by move=> b leb; apply: Hy.
Qed.
