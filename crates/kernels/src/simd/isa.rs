//! The instruction sets a kernel is compiled for, and the choice between them at run time.

/// An instruction set that this processor has.
///
/// Holding a value is the proof: only [`Isa::detect`] and [`Isa::available`] make one, after asking the processor.
/// Every kernel gives the same bits on every `Isa`; only the speed differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Isa(Kind);

/// The closed list behind [`Isa`]; private to the crate so that nobody outside can make an unproven one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Plain Rust, any processor.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 512-bit vectors with products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Isa {
    /// The fastest instruction set of this processor.
    #[expect(clippy::missing_panics_doc, reason = "portable is always there")]
    pub fn detect() -> Isa {
        *Isa::available().last().expect("portable is always there")
    }

    /// Every instruction set of this processor, slowest first.
    pub fn available() -> &'static [Isa] {
        use std::sync::OnceLock;
        static FOUND: OnceLock<Vec<Isa>> = OnceLock::new();
        FOUND.get_or_init(|| {
            #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "only x86-64 adds to the list"))]
            let mut found = vec![Isa(Kind::Portable)];
            // The features asked for here are exactly those that the macros below enable.
            #[cfg(target_arch = "x86_64")]
            {
                let avx2 = is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("popcnt")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2");
                if avx2 {
                    found.push(Isa(Kind::Avx2));
                }
                if avx2
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                {
                    found.push(Isa(Kind::Avx512));
                    if is_x86_feature_detected!("avx512bf16") {
                        found.push(Isa(Kind::Avx512Bf16));
                    }
                }
            }
            found
        })
    }

    /// The fastest instruction set of this processor that is no more than `family` says: `portable`, `avx2`, or
    /// `avx512`, with the products of bf16 if it has them. `None` where it has no such instructions, or nobody has.
    pub fn up_to(family: &str) -> Option<Isa> {
        Isa::available().iter().rev().find(|isa| isa.family() == family).copied()
    }

    /// The name without what only some processors of its kind have: what [`Isa::up_to`] takes.
    pub fn family(self) -> &'static str {
        if self.has_bf16() { "avx512" } else { self.name() }
    }

    /// Whether products of bf16 are instructions of this processor. Where they are not, they give the same bits,
    /// slowly.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Kind::Avx512Bf16;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// A short name: `portable`, `avx2`, `avx512` or `avx512bf16`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => "avx512bf16",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

/// Compiles the generic function `$body(simd: impl Lanes, ...)` once per instruction set and calls the one that `$isa`
/// proves; with `unsafe` before it, if it is an unsafe function, for which the caller vouches.
macro_rules! dispatch {
    ($isa:expr, unsafe $body:ident $($rest:tt)*) => {
        $crate::simd::isa::dispatch!(@ [unsafe] $isa, $body $($rest)*)
    };
    ($isa:expr, $body:ident $($rest:tt)*) => {
        $crate::simd::isa::dispatch!(@ [] $isa, $body $($rest)*)
    };
    (@ [$($unsafe:tt)?] $isa:expr, $body:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,popcnt,bmi1,bmi2,avx512f,avx512vl,avx512dq,avx512bw")]
        #[allow(clippy::too_many_arguments, reason = "the wrapper has the arguments of its kernel")]
        $($unsafe)? fn avx512($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: this function may be called only where there are these instructions. For the body, the caller of
            // an unsafe one vouches.
            let simd = unsafe { $crate::simd::lanes::Avx512::<false>::new() };
            $($unsafe)? { $body(simd, $($arg),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,popcnt,bmi1,bmi2")]
        #[allow(clippy::too_many_arguments, reason = "the wrapper has the arguments of its kernel")]
        $($unsafe)? fn avx2($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: as above.
            let simd = unsafe { $crate::simd::lanes::Avx2::new() };
            $($unsafe)? { $body(simd, $($arg),*) }
        }
        match $isa.kind() {
            // SAFETY: as above, where there is anything unsafe.
            $crate::simd::isa::Kind::Portable => $($unsafe)? { $body($crate::simd::lanes::Portable, $($arg),*) },
            // SAFETY: an `Isa` of this kind exists only if `Isa::available` saw every feature enabled above.
            #[cfg(target_arch = "x86_64")]
            $crate::simd::isa::Kind::Avx2 => unsafe { avx2($($arg),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::simd::isa::Kind::Avx512 | $crate::simd::isa::Kind::Avx512Bf16 => unsafe { avx512($($arg),*) },
        }
    }};
}
pub(crate) use dispatch;

/// [`dispatch`] for kernels that multiply bf16: the processor's instructions for that where it has them.
macro_rules! dispatch_pairs {
    ($isa:expr, unsafe $body:ident $($rest:tt)*) => {
        $crate::simd::isa::dispatch_pairs!(@ [unsafe] $isa, $body $($rest)*)
    };
    ($isa:expr, $body:ident $($rest:tt)*) => {
        $crate::simd::isa::dispatch_pairs!(@ [] $isa, $body $($rest)*)
    };
    (@ [$($unsafe:tt)?] $isa:expr, $body:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,popcnt,bmi1,bmi2,avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")]
        #[allow(clippy::too_many_arguments, reason = "the wrapper has the arguments of its kernel")]
        $($unsafe)? fn avx512bf16($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: this function may be called only where there are these instructions. For the body, the caller of
            // an unsafe one vouches.
            let simd = unsafe { $crate::simd::lanes::Avx512::<true>::new() };
            $($unsafe)? { $body(simd, $($arg),*) }
        }
        match $isa.kind() {
            // SAFETY: an `Isa` of this kind exists only if `Isa::available` saw every feature enabled above.
            #[cfg(target_arch = "x86_64")]
            $crate::simd::isa::Kind::Avx512Bf16 => unsafe { avx512bf16($($arg),*) },
            _ => $crate::simd::isa::dispatch!(@ [$($unsafe)?] $isa, $body($($arg: $ty),*) $(-> $ret)?),
        }
    }};
}
pub(crate) use dispatch_pairs;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_up_to_a_name_is_of_that_name() {
        let available = Isa::available();
        for (n, isa) in available.iter().enumerate() {
            let found = Isa::up_to(isa.family()).expect("it is there");
            assert!(
                found.family() == isa.family() && available[n..].contains(&found),
                "{}: {}",
                isa.name(),
                found.name()
            );
        }
        assert_eq!(Isa::up_to(Isa::detect().family()), Some(Isa::detect()));
        assert_eq!(Isa::up_to("portable").map(Isa::name), Some("portable"));
        assert_eq!(Isa::up_to("neon"), None);
    }
}
