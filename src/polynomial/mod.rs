//! TEMPORARY
use std::collections::BTreeMap;
use std::ops::{Add, Mul, Sub};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};
use crate::error::{Error, Result};
pub trait Coefficient: Clone + PartialEq + std::fmt::Debug + Send + Sync + Zero + One + 'static { fn neg(&self)->Self; }
impl Coefficient for BigInt { fn neg(&self)->Self{-self} }
impl Coefficient for BigRational { fn neg(&self)->Self{-self} }
impl Coefficient for f64 { fn neg(&self)->Self{-self} }
#[derive(Clone,Debug,PartialEq)]
pub struct Polynomial<C> { n: usize, t: Vec<(Vec<u32>,C)> }
fn key(e:&[u32])->(u32,Vec<std::cmp::Reverse<u32>>) { (e.iter().sum(), e.iter().map(|x|std::cmp::Reverse(*x)).collect()) }
impl<C:Coefficient> Polynomial<C> {
  pub fn zero(n:usize)->Self{Polynomial{n,t:vec![]}}
  pub fn constant(n:usize,c:C)->Self{ Self::collect(n,[(vec![0;n],c)]) }
  pub fn variable(n:usize,i:usize)->Self{ let mut e=vec![0;n]; e[i]=1; Self::collect(n,[(e,C::one())]) }
  fn collect(n:usize,it:impl IntoIterator<Item=(Vec<u32>,C)>)->Self{ let mut m=BTreeMap::new(); for (e,c) in it { let s=m.entry(key(&e)).or_insert((e,C::zero())); s.1=s.1.clone()+c; } Polynomial{n,t:m.into_values().filter(|x|!x.1.is_zero()).collect()} }
  pub fn from_terms(n:usize,it:impl IntoIterator<Item=(Vec<u32>,C)>)->Result<Self>{ let v:Vec<_>=it.into_iter().collect(); if v.iter().any(|x|x.0.len()!=n){return Err(Error::invalid("","",""));} Ok(Self::collect(n,v)) }
  pub fn variables(&self)->usize{self.n}
  pub fn len(&self)->usize{self.t.len()}
  pub fn is_zero(&self)->bool{self.t.is_empty()}
  pub fn terms(&self)->impl DoubleEndedIterator<Item=(&[u32],&C)>+ExactSizeIterator{ self.t.iter().map(|x|(&x.0[..],&x.1)) }
  pub fn coefficient(&self,e:&[u32])->Option<&C>{ self.t.iter().find(|x|x.0==e).map(|x|&x.1) }
  pub fn degree(&self)->Option<u32>{ self.t.iter().map(|x|x.0.iter().sum()).max() }
  pub fn degree_in(&self,i:usize)->u32{ self.t.iter().map(|x|x.0[i]).max().unwrap_or(0) }
  pub fn map<D:Coefficient>(&self,f:impl Fn(&C)->D)->Polynomial<D>{ Polynomial::collect(self.n,self.t.iter().map(|x|(x.0.clone(),f(&x.1)))) }
  pub fn scale(&self,c:&C)->Self{ self.map(|x|x.clone()*c.clone()) }
  pub fn truncate(&self,q:u32)->Self{ Polynomial{n:self.n,t:self.t.iter().filter(|x|x.0.iter().sum::<u32>()<=q).cloned().collect()} }
  pub fn mul_truncated(&self,o:&Self,q:u32)->Self{ (self*o).truncate(q) }
  pub fn fix(&self,i:usize,v:&C)->Self{ Self::collect(self.n,self.t.iter().map(|x|{ let mut e=x.0.clone(); let mut c=x.1.clone(); for _ in 0..e[i]{c=c*v.clone();} e[i]=0; (e,c)})) }
  pub fn evaluate(&self,p:&[C])->Result<C>{ Ok(self.t.iter().fold(C::zero(),|s,x| s+x.0.iter().zip(p).fold(x.1.clone(),|c,(e,v)| (0..*e).fold(c,|c,_|c*v.clone())))) }
  pub fn compose(&self,q:&[Self])->Result<Self>{ let n=q[0].n; let mut s=Self::zero(n); for x in &self.t { let mut p=Self::constant(n,x.1.clone()); for (e,v) in x.0.iter().zip(q){ for _ in 0..*e { p=&p*v; } } s=&s+&p; } Ok(s) }
}
impl<C:Coefficient> Add for &Polynomial<C>{ type Output=Polynomial<C>; fn add(self,o:Self)->Polynomial<C>{ Polynomial::collect(self.n,self.t.iter().chain(&o.t).cloned()) } }
impl<C:Coefficient> Sub for &Polynomial<C>{ type Output=Polynomial<C>; fn sub(self,o:Self)->Polynomial<C>{ Polynomial::collect(self.n,self.t.iter().cloned().chain(o.t.iter().map(|x|(x.0.clone(),x.1.neg())))) } }
impl<C:Coefficient> Mul for &Polynomial<C>{ type Output=Polynomial<C>; fn mul(self,o:Self)->Polynomial<C>{ Polynomial::collect(self.n,self.t.iter().flat_map(|a|o.t.iter().map(move |b|(a.0.iter().zip(&b.0).map(|(x,y)|x+y).collect(),a.1.clone()*b.1.clone())))) } }
impl Polynomial<BigRational>{ pub fn parse(_:&str,_:&[String])->Result<Self>{ Ok(Self::zero(2)) } }
impl<C> std::fmt::Display for Polynomial<C>{ fn fmt(&self,f:&mut std::fmt::Formatter)->std::fmt::Result{ write!(f,"?") } }
#[derive(Clone,Debug,PartialEq)]
pub struct Univariate<C>(Vec<C>);
impl<C:Coefficient> Univariate<C>{ pub fn new(mut v:Vec<C>)->Self{ while v.last().is_some_and(|x|x.is_zero()){v.pop();} Univariate(v)} pub fn into_coefficients(self)->Vec<C>{self.0}
 pub fn scale(&self,c:&C)->Self{Univariate::new(self.0.iter().map(|x|x.clone()*c.clone()).collect())}
 pub fn evaluate(&self,z:&C)->C{ self.0.iter().rev().fold(C::zero(),|s,c| s*z.clone()+c.clone()) } 
 fn zip(&self,o:&Self,f:impl Fn(C,C)->C)->Self{ Univariate::new((0..self.0.len().max(o.0.len())).map(|i|f(self.0.get(i).cloned().unwrap_or_else(C::zero),o.0.get(i).cloned().unwrap_or_else(C::zero))).collect()) } }
impl<C:Coefficient> Add for &Univariate<C>{ type Output=Univariate<C>; fn add(self,o:Self)->Univariate<C>{ self.zip(o,|a,b|a+b) } }
impl<C:Coefficient> Sub for &Univariate<C>{ type Output=Univariate<C>; fn sub(self,o:Self)->Univariate<C>{ self.zip(o,|a,b|a+b.neg()) } }
impl<C:Coefficient> Mul for &Univariate<C>{ type Output=Univariate<C>; fn mul(self,o:Self)->Univariate<C>{ let mut v=vec![C::zero();self.0.len()+o.0.len()]; for (i,a) in self.0.iter().enumerate(){ for (j,b) in o.0.iter().enumerate(){ v[i+j]=v[i+j].clone()+a.clone()*b.clone(); } } Univariate::new(v) } }
