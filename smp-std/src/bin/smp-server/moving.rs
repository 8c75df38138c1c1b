//! `smp-server import` and `smp-server export`: moving from and to the reference server.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use smp_std::relay::audit;
use smp_std::relay::moving::{self, ExportReport, ImportReport, MessageForm, REJECTED_FILE, Sources};

use super::start;

/// Where an import comes from.
#[derive(Args, Clone)]
pub(crate) struct ImportOptions {
    /// Folder that holds the old server's files, as "etc" and "var" or all together.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config_dir", "data_dir"])]
    from: Option<PathBuf>,
    /// The old server's folder with smp-server.ini and certificates. [usually /etc/opt/simplex]
    #[arg(long, value_name = "DIR", requires = "data_dir")]
    config_dir: Option<PathBuf>,
    /// The old server's folder with logs and messages. [usually /var/opt/simplex]
    #[arg(long, value_name = "DIR", requires = "config_dir")]
    data_dir: Option<PathBuf>,
    /// Do everything, report, and remove it again. Needs as much disk space as the import.
    #[arg(long)]
    dry_run: bool,
}

/// Where an export goes.
#[derive(Args, Clone)]
pub(crate) struct ExportOptions {
    /// Folder to make: "etc" and "var" in it are what the reference server needs.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Write messages as a journal (store_messages = journal) instead of a log.
    #[arg(long)]
    journal: bool,
}

pub(crate) fn import(options: &ImportOptions, directory: &Path) -> Result<()> {
    let sources = match (&options.from, &options.config_dir, &options.data_dir) {
        (Some(from), ..) => Sources::below(from),
        (None, Some(configuration), Some(data)) => Sources { configuration: configuration.clone(), data: data.clone() },
        _ => bail!("name the old server's files with --from DIR, or with --config-dir DIR and --data-dir DIR"),
    };
    let new = !directory.exists();
    super::create_directory(directory)?;
    let lock = start::lock(directory)?;
    let result = moving::import(&sources, directory, options.dry_run);
    let kept = result.is_ok() && !options.dry_run;
    if kept {
        audit::append(directory, audit::now(), "import", "ok", "by=program").context("cannot write the audit log")?;
    }
    drop(lock);
    if new && !kept {
        // Only the lock is in it; what else there may be stays.
        let _ = std::fs::remove_file(directory.join("lock"));
        let _ = std::fs::remove_dir(directory);
    }
    let report = result.context("cannot import")?;
    let text = import_text(&report, &sources, directory, options.dry_run);
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
}

fn import_text(report: &ImportReport, sources: &Sources, directory: &Path, dry_run: bool) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(format!("configuration  {}", sources.configuration.display()));
    line(format!("data           {}", sources.data.display()));
    line(format!("queues         {}", report.counts.queues));
    line(format!("messages       {}", report.counts.messages));
    line(format!("notifications  {}", report.taken.notifications));
    line(format!("services       {}", report.counts.services));
    line(format!("not taken      {}", report.rejected.iter().map(|(_, _, count)| count).sum::<u64>()));
    for (file, reason, count) in &report.rejected {
        line(format!("  {count} in the {file}: {reason}"));
    }
    for (place, reason) in &report.places {
        line(format!("  {place}: {reason}"));
    }
    if !report.rejected.is_empty() && !dry_run {
        line(format!("  all of them are in {}", directory.join(REJECTED_FILE).display()));
    }
    for left in &report.options_left {
        line(format!("option not taken: {left}"));
    }
    for note in &report.notes {
        line(format!("note: {note}"));
    }
    line(if dry_run {
        "dry run: nothing was kept".to_owned()
    } else {
        format!("imported; look through {}/smp-server.toml, then: smp-server start --dir {0}", directory.display())
    });
    text
}

pub(crate) fn export(options: &ExportOptions, directory: &Path) -> Result<()> {
    if !directory.join("fingerprint").exists() {
        bail!("there is no relay in {}", directory.display());
    }
    let form = if options.journal { MessageForm::Journal } else { MessageForm::Log };
    let lock = start::lock(directory).context("only a relay that is stopped can be exported, or a backup of it")?;
    let result = moving::export(directory, &options.to, form);
    let outcome = if result.is_ok() { "ok" } else { "failed" };
    audit::append(directory, audit::now(), "export", outcome, "by=program").context("cannot write the audit log")?;
    drop(lock);
    let text = export_text(&result.context("cannot export")?, &options.to);
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
}

fn export_text(report: &ExportReport, target: &Path) -> String {
    let mut text = format!(
        "queues         {}\nmessages       {}\nnotifications  {}\nservices       {}\n",
        report.queues, report.messages, report.notifications, report.services
    );
    for (what, count) in &report.left_out {
        text.push_str(&format!("left out       {count} {what}\n"));
    }
    text.push_str(&format!(
        "exported; the contents of {0}/etc belong in /etc/opt/simplex, those of {0}/var in /var/opt/simplex\n",
        target.display()
    ));
    text
}
