//! A training once more, held against what it left.

use tenfold_nn::data::Splits;
use tenfold_nn::interop::safetensors::read_arrays;
use tenfold_nn::train::{Event, Flow, train};

use super::{Disagreement, Faults};
use crate::diff::{ArrayDifference, TrialOf, arrays, arrays_of, can_train_again, first_epoch};
use crate::folder::bounded;
use crate::identity::sha256;
use crate::look::KeptFilters;
use crate::record::{EpochRecord, Reason, Status};
use crate::trial::{EPOCHS, FILTERS, RESULT, WEIGHTS, seed_folder};

/// What became of a training that was run again.
#[derive(Clone, PartialEq, Debug)]
pub enum Again {
    /// Every epoch and every weight is the same, bit for bit.
    Same {
        /// Seconds that its steps took this time.
        train_time_s: f64,
    },
    /// Something is not.
    Parted(Vec<Disagreement>),
    /// It cannot be run again here, for this reason.
    Impossible(String),
    /// The caller stopped it.
    Stopped,
}

/// Trains a trial again from its beginning, in memory, and compares epochs, end, weights and kept kernels.
///
/// # Panics
/// If `splits` are not those of the record, or `threads` is 0.
pub fn train_again(of: TrialOf, splits: &Splits, threads: usize, on_event: &mut dyn FnMut(&Event) -> Flow) -> Again {
    let TrialOf { folder, record, trial } = of;
    if trial.status == Status::Interrupted {
        return Again::Impossible("it was interrupted, and claims nothing".to_owned());
    }
    let (settings, architecture) = match (can_train_again(of), of.recipe().architecture(&record.dataset)) {
        (Ok(settings), Ok(architecture)) => (settings, architecture),
        (Err(reason), _) | (_, Err(reason)) => return Again::Impossible(reason),
    };
    let config = settings.train.with_seed(trial.seed);
    let mut kept = KeptFilters::new(&architecture, &config);
    let mut stopped = false;
    let outcome = train(&architecture, &config, &splits.train, &splits.valid, threads, &mut |event| {
        if let Event::Epoch { result, model } = event {
            kept.add(result.epoch, model);
        }
        let flow = on_event(event);
        stopped |= flow == Flow::Stop;
        flow
    });
    if stopped {
        return Again::Stopped;
    }
    let mut faults = Faults::default();
    let epochs: Vec<EpochRecord> = outcome.epochs.iter().map(Into::into).collect();
    if let Some(parting) = first_epoch(&trial.epochs, &epochs) {
        let number = |number: Option<f64>| number.map_or("not finite".to_owned(), |number| number.to_string());
        let (figure, epoch) = (parting.figure.replace('_', " "), parting.epoch);
        let (first, second) = (number(parting.first), number(parting.second));
        faults.add(EPOCHS, format!("epoch {epoch}: {figure} is {first}, trained again {second}"));
    }
    let ended = (Reason::from(outcome.stopped), outcome.last_epoch, epochs.len());
    if ended != (trial.stopped.reason, trial.stopped.epoch, trial.epochs.len()) {
        faults.add(
            RESULT,
            format!(
                "ended in epoch {} ({:?}), trained again in epoch {} ({:?})",
                trial.stopped.epoch, trial.stopped.reason, outcome.last_epoch, ended.0
            ),
        );
    }
    if trial.status == Status::Finished {
        let bytes = bounded(&folder.join(seed_folder(&trial.recipe, trial.seed)).join(WEIGHTS), u64::MAX);
        match read_arrays(&bytes.unwrap_or_default()) {
            Err(error) => faults.add(WEIGHTS, error.to_string()),
            Ok(written) => {
                for parting in arrays(&written, &arrays_of(&outcome.model)) {
                    let how = match parting.how {
                        ArrayDifference::Shapes { first, second } => {
                            format!("is of shape {first:?}, trained again {second:?}")
                        }
                        ArrayDifference::Values { different, of, largest, ulps } => format!(
                            "{different} of {of} values are not those of the training, by at most {largest:.2e} ({ulps} units \
                             in the last place)"
                        ),
                    };
                    faults.add(WEIGHTS, format!("{}: {how}", parting.name));
                }
            }
        }
        let filters = kept.to_bytes().map(|bytes| sha256(&bytes));
        if trial.filters_sha256.is_some() && trial.filters_sha256 != filters {
            faults.add(FILTERS, "is not what the training keeps of each epoch");
        }
    }
    if faults.0.is_empty() { Again::Same { train_time_s: outcome.train_time_s } } else { Again::Parted(faults.0) }
}
