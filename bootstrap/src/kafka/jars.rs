//! Kafka's jars from Maven, and the small programs that are compiled against them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::{command, logged};
use crate::layout::Layout;
use crate::{engine, files};

/// Folder beside the jars with what is compiled here.
pub(crate) const CLASSES: &str = "classes";
/// Version of Eclipse's compiler: the last that runs on Java 17, which Kafka needs anyway.
const COMPILER: &str = "3.33.0";

fn pom(layout: &Layout) -> PathBuf {
    layout.deploy().join("kafka/pom.xml")
}

/// Makes accounts; waits for copies.
fn sources(layout: &Layout) -> [PathBuf; 2] {
    ["Accounts.java", "Copies.java"].map(|name| layout.deploy().join("kafka/programs").join(name))
}

/// Changes with the list of jars, and with the programs.
pub(super) fn version(layout: &Layout) -> String {
    let read = |path: PathBuf| std::fs::read(path).unwrap_or_default();
    let [accounts, copies] = sources(layout).map(read);
    files::fingerprint(&[&read(pom(layout)), &accounts, &copies])
}

/// Copies the jars from the machine-wide cache, which Maven fills.
pub(super) async fn install(layout: &Layout, log: &Path) -> Result<()> {
    let version = version(layout);
    let (target, complete) = (layout.part("kafka"), layout.part("kafka").join("complete"));
    if files::holds(&complete, &version) {
        return Ok(());
    }
    let cached = fetch(layout, log).await?;
    let libs = target.join("libs");
    if libs.exists() {
        std::fs::remove_dir_all(&libs).context("could not remove old jars")?;
    }
    files::copy_tree(&cached, &libs)?;
    files::write(&complete, &version, 0o644)?;
    Ok(())
}

/// The folder with the jars in this machine's cache; Maven fills it.
pub(crate) async fn fetch(layout: &Layout, log: &Path) -> Result<PathBuf> {
    let cached = engine::cache()?.join(format!("kafka-{}", version(layout)));
    if !cached.exists() {
        let temporary = cached.with_extension("new");
        let folder = temporary.to_string_lossy().into_owned();
        let pom = pom(layout).to_string_lossy().into_owned();
        let output = format!("-DoutputDirectory={folder}");
        let mut maven = command(
            "mvn",
            [
                "-B",
                "-q",
                "-f",
                &pom,
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
            ],
        );
        maven.arg(&output);
        logged(maven, log).await.context("could not fetch Kafka with Maven")?;
        compile(layout, &temporary, log).await?;
        std::fs::rename(&temporary, &cached).context("could not keep Kafka's jars")?;
    }
    Ok(cached)
}

/// Compiles the programs. The compiler is a jar from Maven as well: a runtime of Java suffices.
async fn compile(layout: &Layout, libs: &Path, log: &Path) -> Result<()> {
    let folder = libs.with_extension("compiler");
    let output = format!("-DoutputDirectory={}", folder.display());
    let artifact = format!("-Dartifact=org.eclipse.jdt:ecj:{COMPILER}");
    let maven = command("mvn", ["-B", "-q", "dependency:copy", &artifact, &output]);
    logged(maven, log)
        .await
        .context("could not fetch the compiler with Maven")?;
    let compiler = folder.join(format!("ecj-{COMPILER}.jar"));
    let clients = std::fs::read_dir(libs)
        .context("no jars")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("kafka-clients-"))
        })
        .context("kafka-clients is not among the jars")?;
    let mut compile = command("java", ["-jar".as_ref(), compiler.as_os_str()]);
    compile
        .args(["-17", "-proc:none", "-cp"])
        .arg(clients)
        .arg("-d")
        .arg(libs.join(CLASSES))
        .args(sources(layout));
    logged(compile, log)
        .await
        .context("could not compile the programs for Kafka")?;
    std::fs::remove_dir_all(&folder).context("could not remove the compiler")
}
