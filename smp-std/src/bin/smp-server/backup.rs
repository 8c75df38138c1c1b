//! `smp-server backup`: copies a relay, whether it runs or not.

use std::path::Path;

use anyhow::{Context, Result};
use smp_std::relay::{Wakeups, audit, control};

use super::control::{Conversation, absolute};
use super::{Options, load, start};

pub(crate) fn backup(options: &Options, target: &Path, with_identity: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        if let Some(mut conversation) = Conversation::open(&options.dir).await? {
            let without = if with_identity { "" } else { " without-identity" };
            return conversation.command(&format!("backup {}{without}", absolute(target)?)).await;
        }
        let loaded = load(options)?;
        let _lock = start::lock(&loaded.directory)?;
        let store = start::open_store(&loaded.directory, &loaded.config, &Wakeups::default())
            .context("cannot open the store")?;
        let copied = control::backup(&loaded.directory, &store, target, with_identity);
        let closed = store.close().await;
        let (outcome, details) = (if copied.is_ok() { "ok" } else { "failed" }, "by=program");
        audit::append(&loaded.directory, audit::now(), "backup", outcome, details)
            .context("cannot write the audit log")?;
        copied.with_context(|| format!("cannot copy to {}", target.display()))?;
        closed.context("the store failed")
    })
}
