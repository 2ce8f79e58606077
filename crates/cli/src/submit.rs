//! `tenfold submit`: jobs of a cluster that train what is missing in a run folder.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tenfold_nn::data::words::counted;
use tenfold_report::format::seconds;
use tenfold_study::status::{FolderStatus, Working, status};
use tenfold_study::{STALE, SharedFolder};

use crate::args::{Engine, SubmitArgs};
use crate::failure::{DONE, Failure, IO, USAGE};
use crate::output::{self, note, plain};
use crate::{probe, work};

mod scripts;

use scripts::Jobs;

/// Slurm's own limit to the numbers of a job array, where it does not tell another.
const MAX_ARRAY: usize = 1001;

/// How often a submission that fails is tried.
const TRIES: u32 = 4;

/// Submits, and gives the exit code.
pub(crate) fn submit(args: &SubmitArgs) -> Result<u8, Failure> {
    if args.to != Engine::Slurm {
        let useless = [(args.dry_run, "--dry-run"), (!args.options.is_empty(), "--option")];
        if let Some((_, option)) = useless.into_iter().find(|(given, _)| *given) {
            let message = format!("{option} is for --to slurm; for others what would be submitted is printed anyway");
            return Err(Failure::new(USAGE, message, None));
        }
    }
    if args.folder.is_file() {
        let message = format!("{}: is a file, expected a run folder", args.folder.display());
        let hint = format!("plan it first: tenfold run {} --plan-only", args.folder.display());
        return Err(Failure::new(USAGE, message, Some(hint)));
    }
    if !args.folder.is_dir() {
        let message = format!("{}: there is no such folder", args.folder.display());
        return Err(Failure::new(USAGE, message, Some("`tenfold run --plan-only` writes one".to_owned())));
    }
    let status = status(&args.folder)?;
    let all_left: usize = status.recipes.iter().map(|recipe| recipe.left).sum();
    let alive = |working: &&Working| working.silent_s.is_none_or(|silent_s| silent_s < STALE.as_secs_f64());
    let left = all_left.saturating_sub(status.working.iter().filter(alive).count());
    if left == 0 {
        let others = if all_left == 0 { "" } else { " that nobody works on" };
        note(&format!("nothing is left to be trained{others}, so nothing is submitted"));
        return Ok(DONE);
    }
    let total_s = total_s(args, &status)? * left as f64 / all_left as f64;
    let limit = if args.to == Engine::Slurm { max_array() } else { usize::MAX };
    let jobs = jobs(args, &status, left, total_s, limit)?;
    note(&format!(
        "{} to go, about {} on {}: {} of up to {} each",
        counted(left, "training", "trainings"),
        seconds(total_s.round()),
        counted(args.cpus, "processor", "processors"),
        counted(jobs.count, "job", "jobs"),
        counted(jobs.each, "training", "trainings"),
    ));
    match args.to {
        Engine::Slurm => slurm(args, &jobs),
        Engine::Hq => printed(&jobs.hq()),
        Engine::Parallel => printed(&jobs.parallel()),
        Engine::Kubernetes => printed(&jobs.kubernetes()),
    }
}

fn printed(text: &str) -> Result<u8, Failure> {
    output::out(text)?;
    Ok(DONE)
}

/// Seconds that all that is left takes, one training after the other: as was recorded, else as is probed.
fn total_s(args: &SubmitArgs, status: &FolderStatus) -> Result<f64, Failure> {
    let left = || status.recipes.iter().filter(|recipe| recipe.left > 0);
    if let (Some(left_s), true) = (status.left_s, left().all(|recipe| recipe.mean_s.is_some())) {
        return Ok(left_s);
    }
    let (plan, splits) = work::planned(&args.folder, None, Some(args.cpus))?;
    let few = probe::few(&splits.valid);
    let mut total_s = 0.0;
    for of in left() {
        let index = plan.selected().iter().find(|&&index| plan.recipe(index).0.name == of.name);
        let Some((recipe, architecture)) = index.map(|&index| plan.recipe(index)) else { continue };
        let probed = || {
            let pace = probe::pace(recipe, architecture, &splits, &few, plan.environment().threads, &|| false);
            // One that diverges in the probe does so as soon.
            pace.map_or(0.0, |pace| recipe.settings.epochs as f64 * pace.epoch_s)
        };
        total_s += of.left as f64 * of.mean_s.unwrap_or_else(probed);
    }
    Ok(total_s)
}

/// How the work is divided.
fn jobs(args: &SubmitArgs, status: &FolderStatus, left: usize, total_s: f64, limit: usize) -> Result<Jobs, Failure> {
    let failed = |what: &str, reason: std::io::Error| Failure::new(IO, format!("{what}: {reason}"), None);
    let each = (60.0 * args.minutes / (total_s / left as f64).max(0.001)).round().clamp(1.0, left as f64) as usize;
    let each = each.max(left.div_ceil(limit));
    Ok(Jobs {
        name: status.study.clone(),
        program: std::env::current_exe().map_err(|reason| failed("this program's own path", reason))?,
        folder: std::path::absolute(&args.folder).map_err(|reason| failed("the folder's path", reason))?,
        count: left.div_ceil(each),
        each,
        cpus: args.cpus,
        at_once: args.at_once,
        options: args.options.clone(),
    })
}

/// The most jobs of an array, by Slurm's configuration.
fn max_array() -> usize {
    let said = Command::new("scontrol").args(["show", "config"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().find(|line| line.trim_start().starts_with("MaxArraySize"));
    let number = line.and_then(|line| line.split_once('=')?.1.trim().parse().ok());
    // It is the first index that is too large.
    number.filter(|&number: &usize| number > 0).unwrap_or(MAX_ARRAY)
}

fn slurm(args: &SubmitArgs, jobs: &Jobs) -> Result<u8, Failure> {
    let (array, gather) = (jobs.slurm(), jobs.slurm_gather());
    let at = jobs.folder.join("slurm");
    let [array_path, gather_path] = ["jobs.sh", "gather.sh"].map(|name| at.join(name));
    if args.dry_run {
        let shown = |path: &Path| plain(&path.display().to_string());
        return printed(&format!(
            "# {}\n{array}\n# {}\n{gather}\n# sbatch --parsable {}\n# sbatch --parsable --dependency=afterany:JOB {}\n",
            shown(&array_path),
            shown(&gather_path),
            shown(&array_path),
            shown(&gather_path)
        ));
    }
    // As jobs will hold it: not while a run does, and together with those that were submitted before.
    let folder = SharedFolder::open(&args.folder)?;
    let write = |path: &Path, script: &str| {
        let written = fs::create_dir_all(&at).and_then(|()| fs::write(path, script));
        written.map_err(|reason| Failure::new(IO, format!("{}: cannot write the file: {reason}", path.display()), None))
    };
    write(&array_path, &array)?;
    write(&gather_path, &gather)?;
    drop(folder);
    let job = sbatch(&[], &array_path)?;
    // After any end: with afterok a single failure would keep it waiting for ever.
    let last = sbatch(&[format!("--dependency=afterany:{job}")], &gather_path).map_err(|failure| match failure {
        Failure::Error { code, message, .. } => {
            let hint =
                format!("the trainings are submitted as job {job}; when they are done, run: tenfold work DIR --gather");
            Failure::new(code, message, Some(hint))
        }
        other => other,
    })?;
    output::out(&format!("{job}\n"))?;
    note(&format!(
        "submitted as job {job}, and job {last} writes report and verdict at the end; output is in {}/slurm",
        plain(&args.folder.display().to_string())
    ));
    Ok(DONE)
}

/// Submits, and gives the number of the job; what fails is tried again after a while, as a controller may be busy.
fn sbatch(options: &[String], script: &Path) -> Result<String, Failure> {
    let mut tried = 0;
    loop {
        let said = Command::new("sbatch").arg("--parsable").args(options).arg(script).stdin(Stdio::null()).output();
        let said = match said {
            Ok(said) => said,
            Err(reason) => {
                let hint = "run this where jobs are submitted, or look at what would be submitted: --dry-run";
                return Err(Failure::new(IO, format!("sbatch cannot be run: {reason}"), Some(hint.to_owned())));
            }
        };
        if said.status.success() {
            // "JOB" or "JOB;CLUSTER".
            let text = String::from_utf8_lossy(&said.stdout);
            let job = text.trim().split(';').next().unwrap_or_default().to_owned();
            if !job.is_empty() && job.bytes().all(|byte| byte.is_ascii_digit()) {
                return Ok(job);
            }
            return Err(Failure::new(IO, format!("sbatch gave no number of a job, but {:?}", text.trim()), None));
        }
        tried += 1;
        let complaint = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        let busy = ["try again", "temporarily", "timed out", "Unable to contact"]
            .iter()
            .any(|words| complaint.contains(words));
        if !busy || tried == TRIES {
            return Err(Failure::new(IO, format!("sbatch: {complaint}"), None));
        }
        std::thread::sleep(Duration::from_secs(1 << tried));
    }
}
