//! The jobs, as those who run them read them.

use std::path::{Path, PathBuf};

/// What is to be run.
pub(super) struct Jobs {
    /// The study's name.
    pub(super) name: String,
    /// This program.
    pub(super) program: PathBuf,
    /// The run folder, from the root on.
    pub(super) folder: PathBuf,
    /// How many jobs.
    pub(super) count: usize,
    /// The most trainings of each.
    pub(super) each: usize,
    pub(super) cpus: usize,
    pub(super) at_once: Option<usize>,
    /// Lines for the head of each job.
    pub(super) options: Vec<String>,
}

impl Jobs {
    /// `tenfold work DIR --at-most N`, quoted for a shell.
    fn work(&self) -> String {
        format!("{} work {} --at-most {}", quoted(&self.program), quoted(&self.folder), self.each)
    }

    fn gather(&self) -> String {
        format!("{} work {} --gather", quoted(&self.program), quoted(&self.folder))
    }

    fn slurm_head(&self, name: &str, output: &str) -> String {
        let options: String = self.options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
        // What may have a space in it is the whole rest of a line for sbatch, if it is in quotes.
        let output = format!("{}/slurm/{output}", self.folder.display());
        format!(
            "#!/bin/sh\n#SBATCH --job-name=tenfold-{}{name}\n#SBATCH --output=\"{output}\"\n#SBATCH --open-mode=append\n\
             #SBATCH --requeue\n#SBATCH --cpus-per-task={}\n{options}",
            self.name, self.cpus
        )
    }

    /// The job array. Ninety seconds before its time is over a job stops what it trains, and is put in the queue again: then
    /// it goes on with it.
    pub(super) fn slurm(&self) -> String {
        let at_once = self.at_once.map_or(String::new(), |most| format!("%{most}"));
        format!(
            "{}#SBATCH --array=0-{}{at_once}\n#SBATCH --signal=B:USR1@90\n\n\
             {} --threads \"${{SLURM_CPUS_PER_TASK:-{}}}\" &\n\
             worker=$!\n\
             trap 'again=yes; kill -TERM \"$worker\"' USR1\n\
             trap 'kill -TERM \"$worker\"' TERM\n\
             while :; do\n  wait \"$worker\"; code=$?\n  kill -0 \"$worker\" 2>/dev/null || break\ndone\n\
             if [ \"$again\" = yes ] && [ \"$code\" -ne 0 ]; then\n  \
               exec scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"\nfi\n\
             exit \"$code\"\n",
            self.slurm_head("", "%A_%a.out"),
            self.count - 1,
            self.work(),
            self.cpus
        )
    }

    /// What follows the array.
    pub(super) fn slurm_gather(&self) -> String {
        let threads = format!("--threads \"${{SLURM_CPUS_PER_TASK:-{}}}\"", self.cpus);
        format!("{}\nexec {} {threads}\n", self.slurm_head("-report", "report-%j.out"), self.gather())
    }

    /// For GNU parallel, on this machine; with its option --sshlogin on several that share the folder.
    pub(super) fn parallel(&self) -> String {
        let at_once = self.at_once.map_or(String::new(), |most| format!(" --jobs {most}"));
        format!(
            "#!/bin/sh\nset -e\nseq {} | parallel{at_once} --max-args 0 {}\n{}\n",
            self.count,
            quoted(Path::new(&format!("{} --threads {}", self.work(), self.cpus))),
            self.gather()
        )
    }

    /// For HyperQueue.
    pub(super) fn hq(&self) -> String {
        format!(
            "#!/bin/sh\nset -e\nhq submit --wait --name tenfold-{} --array 1-{} --cpus {} -- {} --threads {}\n{}\n",
            self.name,
            self.count,
            self.cpus,
            self.work(),
            self.cpus,
            self.gather()
        )
    }

    /// A name of which the last pod's, `NAME-INDEX`, is still a label of DNS: of 63 characters, and none of its parts ends with a
    /// hyphen.
    fn kubernetes_name(&self) -> String {
        let index = format!("-{}", self.count.saturating_sub(1));
        let name = format!("tenfold-{}", self.name);
        name[..name.floor_char_boundary(63 - index.len())].trim_end_matches('-').to_owned()
    }

    /// For Kubernetes: image and volume are to be filled in.
    pub(super) fn kubernetes(&self) -> String {
        let folder = json(&self.folder.display().to_string());
        let root = json(&self.folder.parent().unwrap_or(&self.folder).display().to_string());
        let parallelism = self.at_once.unwrap_or(self.count).min(self.count);
        let (name, count, each, cpus) = (self.kubernetes_name(), self.count, self.each, self.cpus);
        format!(
            "# Fill in the image, which has tenfold on its PATH, and the volume, which all pods share and which has the run\n\
             # folder where it is here. When all is done: tenfold work DIR --gather\n\
             apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\nspec:\n  completionMode: Indexed\n  \
             completions: {count}\n  parallelism: {parallelism}\n  backoffLimitPerIndex: 5\n  template:\n    spec:\n      \
             restartPolicy: Never\n      containers:\n        - name: tenfold\n          image: IMAGE\n          command: \
             [\"tenfold\", \"work\", {folder}, \"--at-most\", \"{each}\", \"--threads\", \"{cpus}\"]\n          resources:\n            \
             requests: {{ cpu: \"{cpus}\" }}\n          volumeMounts:\n            - {{ name: runs, mountPath: {root} }}\n      \
             volumes:\n        - name: runs\n          persistentVolumeClaim: {{ claimName: CLAIM }}\n"
        )
    }
}

/// For a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// For YAML, which takes JSON's strings.
fn json(text: &str) -> String {
    serde_json::to_string(text).expect("text is a plain value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Jobs {
        Jobs {
            name: "mine".to_owned(),
            program: "/opt/ten fold".into(),
            folder: "/data/it's".into(),
            count: 3,
            each: 7,
            cpus: 2,
            at_once: Some(2),
            options: vec!["--partition=long".to_owned()],
        }
    }

    #[test]
    fn a_shell_reads_paths_as_they_are() {
        assert_eq!(quoted(Path::new("/a/b-c_1.2")), "/a/b-c_1.2");
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
        assert!(jobs().work().starts_with("'/opt/ten fold' work '/data/it'\\''s' --at-most 7"));
    }

    #[test]
    fn a_name_for_kubernetes_is_a_label_of_dns_with_the_last_index_behind_it() {
        let named = |name: &str, count| Jobs { name: name.to_owned(), count, ..jobs() }.kubernetes_name();
        assert_eq!(named("mine", 3), "tenfold-mine");
        let name = named(&"a".repeat(64), 1001);
        assert_eq!((format!("{name}-1000").len(), &name[..9]), (63, "tenfold-a"));
        // Cut where a hyphen would be the last.
        let name = named(&format!("{}-{}", "a".repeat(52), "b".repeat(11)), 3);
        assert_eq!(name, format!("tenfold-{}", "a".repeat(52)));
        assert_eq!(named("a-", 1), "tenfold-a");
        let text = Jobs { name: "a-".repeat(32), ..jobs() }.kubernetes();
        let line = text.lines().find_map(|line| line.strip_prefix("  name: ")).expect("it has a name");
        assert!(line.len() <= 61 && !line.ends_with('-'), "{line}");
    }

    #[test]
    fn an_array_says_how_many_how_many_at_once_and_what_goes_before_its_end() {
        let script = jobs().slurm();
        for line in [
            "#SBATCH --array=0-2%2",
            "#SBATCH --requeue",
            "#SBATCH --signal=B:USR1@90",
            "#SBATCH --cpus-per-task=2",
            "#SBATCH --partition=long",
            "#SBATCH --output=\"/data/it's/slurm/%A_%a.out\"",
        ] {
            assert!(script.lines().any(|other| other == line), "{line}\n{script}");
        }
        // sbatch reads no more options after the first command.
        let last = script.rfind("#SBATCH").unwrap();
        assert!(script[last..].contains(" work ") && !script[..last].contains(" work "), "{script}");
        assert!(jobs().kubernetes().contains("command: [\"tenfold\", \"work\", \"/data/it's\", \"--at-most\", \"7\""));
        assert!(jobs().kubernetes().contains("completions: 3\n  parallelism: 2\n"));
        assert!(jobs().hq().contains("--array 1-3 --cpus 2 -- '/opt/ten fold' work "));
    }
}
