//! What is seen while a study runs: a permanent line per epoch everywhere, and bars below it on a terminal.

use std::fmt;
use std::io::{IsTerminal, stderr};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tenfold_data::Stage;
use tenfold_report::format::{count, seconds};

use crate::failure::Failure;
use crate::output;
use crate::remaining::Remaining;

/// Positions of the bar of the study, which moves with time.
const FINE: u64 = 10_000;

/// The bars, if there are any, and what they need to know.
pub(crate) struct Progress {
    bars: Option<Bars>,
    remaining: Remaining,
    /// Whether trials may end before their last epoch.
    at_most: bool,
    /// Seconds that the epochs so far took.
    spent_s: f64,
    /// Seconds that all epochs were expected to take when half of them were done.
    halfway_s: Option<f64>,
}

struct Bars {
    all: MultiProgress,
    epoch: ProgressBar,
    study: ProgressBar,
}

/// A bar for `of` pieces of other work, where a person watches.
pub(crate) fn bar(name: &str, of: usize) -> ProgressBar {
    if !draws() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(10);
    let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {pos}/{len}").expect("the template is right");
    ProgressBar::with_draw_target(Some(of as u64), target).with_prefix(output::plain(name)).with_style(style)
}

/// A bar for the bytes of a file, of which `of` are expected, where a person watches.
pub(crate) fn bytes_bar(name: &str, of: Option<u64>) -> ProgressBar {
    if !draws() {
        return ProgressBar::hidden();
    }
    let words = match of {
        Some(_) => "{prefix} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left",
        None => "{prefix} {decimal_bytes}, {decimal_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(words).expect("the template is right").progress_chars("=> ");
    ProgressBar::with_draw_target(of, ProgressDrawTarget::stderr_with_hz(10))
        .with_prefix(output::plain(name))
        .with_style(style)
}

/// A bar for each stage of reading data, one after the other, where a person watches.
#[derive(Default)]
pub(crate) struct Reading {
    stage: Option<(Stage, ProgressBar)>,
}

impl Reading {
    /// So much is done.
    pub(crate) fn show(&mut self, progress: tenfold_data::Progress) {
        if self.stage.as_ref().is_none_or(|(stage, _)| *stage != progress.stage) {
            self.finish();
            let style =
                ProgressStyle::with_template("{prefix} [{wide_bar}] {percent:>3}%").expect("the template is right");
            self.stage = Some((progress.stage, bar(progress.stage.words(), progress.of).with_style(style)));
        }
        if let Some((_, bar)) = &self.stage {
            // Of several files, each has a length of its own.
            bar.set_length(progress.of as u64);
            bar.set_position(progress.done as u64);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some((_, bar)) = self.stage.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Reading {
    /// Before what is wrong is said.
    fn drop(&mut self) {
        self.finish();
    }
}

/// Writes a line where the program ends whatever bars there are.
pub(crate) fn note_in_place_of_bars(line: &str) {
    // Back to the beginning of the bar's line, and rid of it.
    output::note(&format!("{}{line}", if draws() { "\r\x1b[2K" } else { "" }));
}

/// Whether a person watches a terminal that can draw.
fn draws() -> bool {
    stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Progress {
    /// Bars only where a person watches a terminal that can draw them.
    pub(crate) fn new() -> Progress {
        let bars = draws().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            Bars { all, epoch: ProgressBar::hidden(), study: ProgressBar::hidden() }
        });
        Progress { bars, remaining: Remaining::new(Vec::new(), []), at_most: false, spent_s: 0.0, halfway_s: None }
    }

    /// The trials to come are known.
    pub(crate) fn start(&mut self, remaining: Remaining, at_most: bool) {
        let any = remaining.epochs().1 > 0;
        (self.remaining, self.at_most) = (remaining, at_most);
        if let Some(bars) = &mut self.bars
            && any
        {
            bars.epoch = bars.all.add(ProgressBar::new(0).with_style(epoch_style()));
            bars.study = bars.all.add(ProgressBar::new(FINE).with_style(study_style()));
            bars.study.set_prefix("study");
        }
        self.show_study();
    }

    /// The next trial begins, with so many epochs to go.
    pub(crate) fn trial_started(&mut self, epochs: usize) {
        self.remaining.trial_started(epochs);
    }

    /// An epoch of `images` images begins.
    pub(crate) fn epoch_started(&mut self, name: &str, images: usize) {
        if let Some(bars) = &self.bars {
            bars.epoch.set_length(images as u64);
            bars.epoch.set_position(0);
            bars.epoch.reset_eta();
            bars.epoch.set_prefix(output::plain(name));
        }
        self.show_study();
    }

    /// Of the images of the running epoch, this many are done.
    pub(crate) fn images_done(&mut self, images: usize, of: usize) {
        if let Some(bars) = &self.bars {
            bars.epoch.set_position(images as u64);
            let part = images as f64 / of as f64;
            // Often enough for the eye, and no arithmetic between the many steps of a small network.
            if images.is_multiple_of(1000) || images == of {
                self.remaining.within_epoch(part);
                self.show_study();
            }
        }
    }

    /// An epoch took this long, evaluation included.
    pub(crate) fn epoch_done(&mut self, seconds: f64) {
        self.remaining.epoch_done(seconds);
        self.spent_s += seconds;
        let (done, total) = self.remaining.epochs();
        if self.halfway_s.is_none() && done < total && 2 * done >= total {
            self.halfway_s = self.remaining.seconds().map(|left_s| self.spent_s + left_s);
        }
        self.show_study();
    }

    /// How long all was expected to take when half of the epochs were done, in words.
    pub(crate) fn halfway(&self) -> Option<String> {
        let most = if self.at_most { "at most " } else { "" };
        self.halfway_s.map(|whole_s| format!("{most}{}", seconds(whole_s)))
    }

    /// A trial has ended.
    pub(crate) fn trial_done(&mut self) {
        self.remaining.trial_done();
        self.show_study();
    }

    /// A line on standard error that stays.
    pub(crate) fn note(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| output::note(line)),
            None => output::note(line),
        }
    }

    /// Results on standard output.
    pub(crate) fn out(&self, text: &str) -> Result<(), Failure> {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| output::out(text)),
            None => output::out(text),
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            bars.epoch.finish_and_clear();
            bars.study.finish_and_clear();
        }
    }

    fn show_study(&self) {
        let Some(bars) = &self.bars else { return };
        let (done, total) = self.remaining.epochs();
        let most = if self.at_most { "at most " } else { "" };
        let mut text = format!("{done}/{total} epochs");
        if let Some(left_s) = self.remaining.seconds() {
            text.push_str(&format!(", {most}about {} left", left(left_s)));
            let whole_s = self.spent_s + left_s;
            bars.study.set_position(if whole_s > 0.0 { (FINE as f64 * self.spent_s / whole_s) as u64 } else { 0 });
        }
        bars.study.set_message(text);
    }
}

fn epoch_style() -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{} images/s", count(state.per_sec() as u64));
    };
    let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{} left", left(state.eta().as_secs_f64()));
    };
    // The bar takes what the words leave of the line.
    ProgressStyle::with_template("{prefix} [{wide_bar}] {percent:>3}%, {rate}, {left}")
        .expect("the template is valid")
        .with_key("rate", rate)
        .with_key("left", left)
        .progress_chars("=> ")
}

/// A duration that nobody knows to a part of a second.
fn left(left_s: f64) -> String {
    let whole_s = left_s.round();
    if whole_s < 60.0 { format!("{whole_s} s") } else { seconds(whole_s) }
}

fn study_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{wide_bar}] {msg}").expect("the template is valid").progress_chars("=> ")
}
