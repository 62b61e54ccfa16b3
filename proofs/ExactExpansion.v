(** * The exact expansion by values on the lattice, modulo primes

    THEOREM (exact expansion). Let f_o be an output of the expansion of a network of
    rationals, of total degree at most D (the product of the degrees), let q f_o have integer
    coefficients (q = Delta^S), and let M bound the majorant network's output at (1, ..., 1).
    Take distinct primes larger than D that divide no denominator of a parameter, and whose
    product P exceeds 2 q M. Evaluate the network modulo each of them on the lattice
    |b| <= D, interpolate by forward differences and conversion, and let the integers c_a
    have the residues of q times the coefficients (Chinese remainders). Then the symmetric
    residue of c_a modulo P, divided by q, is the coefficient of x^a in f_o; it is c_a / q
    itself if |c_a| + q M < P.

    Such integers are, with r_p the residue times the inverse of P / p,
            sum_p r_p P / p - t P                  for any t  (explicit form),
            sum_k v_k p_0 ... p_(k-1)              for digits v_k that fit the residues one
                                                   prime after the other  (Garner's form).

    Nothing but the values on the lattice enters: how they are tabulated is free
    (Interpolation.v, (c)).

    Code: src/expand/lattice/ (mod.rs for the whole, remainder.rs for the integers c_a).
    Tests: tests/representation.rs (every_expansion_equals_its_network). *)

From mathcomp Require Import all_ssreflect all_algebra.
From SsrMultinomials Require Import mpoly.
From SLNN Require Import Representation Interpolation Majorant.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import Order.Theory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** Chinese remainders *)

Lemma dvd_prod_Fp (I : Type) (s : seq I) (P : pred I) (F : I -> nat) p :
  prime p -> (p %| \prod_(i <- s | P i) F i)%N -> ((\prod_(i <- s | P i) F i)%:R : 'F_p) = 0.
Proof. by move=> pp; rewrite (dvdn_charf (char_Fp pp)) => /eqP. Qed.

(** The explicit form: sum_p r_p P / p - t P, whatever the integer t, is r_p P / p modulo p. *)
Theorem explicit_remainder (ps : seq nat) (r : nat -> int) (t : int) p :
  uniq ps -> prime p -> p \in ps ->
  (\sum_(s <- ps) r s * (\prod_(s' <- ps | s' != s) s')%N - t * (\prod_(s <- ps) s)%N)%:~R =
  (r p)%:~R * (\prod_(s <- ps | s != p) s)%:R :> 'F_p.
Proof.
move=> us pp ip; rewrite rmorphB rmorphM /= -[_%:Z%:~R]pmulrn dvd_prod_Fp //; last first.
  by rewrite (bigD1_seq p) //= dvdn_mulr.
rewrite mulr0 subr0 (bigD1_seq p) //= rmorphD rmorphM /= -[_%:Z%:~R]pmulrn rmorph_sum.
rewrite [X in _ + X]big1 ?addr0 // => s ne.
rewrite rmorphM /= -[_%:Z%:~R]pmulrn dvd_prod_Fp ?mulr0 //.
by rewrite -big_filter (bigD1_seq p) ?filter_uniq ?mem_filter 1?eq_sym ?ne //= dvdn_mulr.
Qed.

(** Garner's form: of sum_k v_k p_0 ... p_(k-1), only the first k + 1 terms count modulo p_k. *)
Theorem mixed_radix (ps : seq nat) (v : nat -> int) k :
  (k < size ps)%N -> let p := nth 0%N ps k in prime p ->
  (\sum_(j < size ps) v j * (\prod_(s <- take j ps) s)%N)%:~R =
  (\sum_(j < k.+1) v j * (\prod_(s <- take j ps) s)%N)%:~R :> 'F_p.
Proof.
move=> lt p pp; rewrite -(subnKC lt) big_split_ord /= rmorphD /= [X in _ + X]rmorph_sum.
rewrite [X in _ + X]big1 ?addr0 // => j _.
rewrite rmorphM /= -[_%:Z%:~R]pmulrn dvd_prod_Fp ?mulr0 // (big_rem p) /= ?dvdn_mulr //.
rewrite /p -(nth_take 0%N (n0 := (k.+1 + j)%N)) ?leq_addr // mem_nth // size_take.
by case: ifP => // _; rewrite leq_addr.
Qed.

(** ** The expansion *)

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

Section ExactExpansion.
Variables (n l : nat) (N : rational_network n l) (o : 'I_l) (D q : nat) (M : rat) (ps : seq nat).
Hypothesis D_bounds : (output_degree N o <= D)%N.
Hypothesis q_gt0 : (0 < q)%N.
Hypothesis q_integral : forall a, q%:R * (expansion N o 0)@_a \is a Qint.
Hypothesis M_bounds : majorant N o 0 <= M.
Hypothesis ps_uniq : uniq ps.
Hypothesis ps_prime : all prime ps.
Hypothesis ps_large : forall p, p \in ps -> (D < p)%N.
Hypothesis ps_suit : forall p : nat, p \in ps -> every (fun x => ~~ (p %| denq x)%Z) N.

(** The values modulo p, and integers that have the residues of the coefficients. *)
Variables (y : forall p, 'X_{1..n} -> 'F_p) (c : 'X_{1..n} -> int).
Hypothesis y_values : forall p b, p \in ps -> (mdeg b <= D)%N ->
  y p b = evaluate (over (reduce p) N) (\col_i (b i)%:R) o 0.
Hypothesis c_residues : forall p a, p \in ps -> (mdeg a <= D)%N ->
  (c a)%:~R = q%:R * coefficients D (y p) a.

Lemma residues_of_coefficients p a : p \in ps -> (mdeg a <= D)%N ->
  (c a)%:~R = q%:R * (expansion (over (reduce p) N) o 0)@_a.
Proof.
move=> ip le; rewrite c_residues // -(coefficients_expansion (N := over (reduce p) N) (o := o)) //.
- apply: (@nonzero_charp _ p); last exact: ps_large.
  by apply: char_Fp; apply: (allP ps_prime).
- by apply: leq_trans _ D_bounds; apply: degrees_over; rewrite // /reduce mul0r.
- by move=> b; apply: y_values.
Qed.

Lemma expansion_up_to_D (k : 'X_{1..n} -> rat) :
  (forall a, (mdeg a <= D)%N -> (expansion N o 0)@_a = k a) ->
  expansion N o 0 = \sum_(a : 'X_{1..n < D.+1}) k a *: 'X_[a].
Proof.
move=> H; have /degree_leP/mpolywE E : degree_le D (expansion N o 0).
  by apply: (degree_le_mono D_bounds); apply: expansion_degree.
by rewrite E; apply: eq_bigr => a _; rewrite H //; have := bmdeg a.
Qed.

Theorem exact_expansion : q%:R * M *+ 2 < (\prod_(p <- ps) p)%:R ->
  expansion N o 0 = \sum_(a : 'X_{1..n < D.+1})
    ((symmetric_residue (\prod_(p <- ps) p) (c a))%:~R / q%:R) *: 'X_[a].
Proof.
move=> lt; apply: (expansion_up_to_D (k := fun a =>
  (symmetric_residue (\prod_(p <- ps) p) (c a))%:~R / q%:R)) => a le.
apply: (coefficient_of_residues q_gt0 (q_integral a) M_bounds ps_uniq ps_prime ps_suit _ lt).
by move=> p ip; apply: residues_of_coefficients.
Qed.

Theorem exact_expansion_of_small :
  (forall a, (mdeg a <= D)%N -> `|c a|%:~R + q%:R * M < (\prod_(p <- ps) p)%:R) ->
  expansion N o 0 = \sum_(a : 'X_{1..n < D.+1}) ((c a)%:~R / q%:R) *: 'X_[a].
Proof.
move=> lt; apply: (expansion_up_to_D (k := fun a => (c a)%:~R / q%:R)) => a le.
have small := lt a le; apply: coefficient_of_small_residue small => //.
by move=> p ip; apply: residues_of_coefficients.
Qed.
End ExactExpansion.
