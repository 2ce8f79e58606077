//! Statistics, one idea a file. Plain functions of plain numbers; what they mean for a study is `comparison`'s matter.

pub(crate) mod banerjee;
pub(crate) mod beats;
pub(crate) mod holm;
pub(crate) mod kaplan_meier;
pub(crate) mod mcnemar;
pub(crate) mod moments;
pub(crate) mod power;
pub(crate) mod student;
pub(crate) mod welch;
pub(crate) mod wilson;

#[cfg(test)]
mod tests;
