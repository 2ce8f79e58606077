//! Statistics, one idea a file. Plain functions of plain numbers; what they mean for a study is `comparison`'s matter.
