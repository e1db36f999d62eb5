//! EXPLAIN.

use std::sync::Arc;
use std::time::Duration;

use env::trace::Recording;
use executor::ExecResult;
use pgserver::ResultSink;
use planner::ast::{Explain, OptionValue, StatementKind};
use tracing::{Instrument, Span};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Session;
use super::prepared::describe_column;
use super::statement::{Run, Tag};
use crate::planning::StatementCatalog;

struct Options {
    analyze: bool,
    costs: bool,
    timing: bool,
    verbose: bool,
    summary: bool,
    trace: bool,
}

fn options(explain: &Explain) -> PgResult<Options> {
    let mut parsed =
        Options { analyze: false, costs: true, timing: true, verbose: false, summary: false, trace: false };
    let mut summary = None;
    for option in &explain.options {
        let on = match &option.value {
            OptionValue::None => true,
            OptionValue::Text(text) | OptionValue::Number(text) => match &*text.to_ascii_lowercase() {
                "on" | "true" | "1" => true,
                "off" | "false" | "0" => false,
                "text" if &*option.name == "format" => true,
                other if &*option.name == "format" => {
                    return Err(PgError::unsupported(format!("EXPLAIN (FORMAT {other})")));
                }
                _ => {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("{} requires a Boolean value", option.name),
                    ));
                }
            },
            OptionValue::List(_) | OptionValue::Star => {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("{} requires a Boolean value", option.name),
                ));
            }
        };
        match &*option.name {
            "analyze" => parsed.analyze = on,
            "costs" => parsed.costs = on,
            "timing" => parsed.timing = on,
            "verbose" => parsed.verbose = on,
            "summary" => summary = Some(on),
            "trace" => parsed.trace = on,
            "format" => {}
            "buffers" | "wal" | "settings" if !on => {}
            "buffers" | "wal" | "settings" => {
                return Err(PgError::unsupported(format!("EXPLAIN ({})", option.name)));
            }
            other => {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("unrecognized EXPLAIN option \"{other}\""),
                )
                .at(option.position));
            }
        }
    }
    parsed.summary = summary.unwrap_or(parsed.analyze);
    if parsed.trace && !parsed.analyze {
        let message = "EXPLAIN option TRACE requires ANALYZE";
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(parsed)
}

impl Session {
    pub(super) async fn run_explain(
        &mut self,
        explain: &Explain,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        let options = options(explain)?;
        if !explain.statement.kind.is_plannable() {
            if let StatementKind::Execute(execute) = &explain.statement.kind {
                let prepared = self.prepared(&execute.name.name)?;
                let parameters = self.execute_arguments(execute, &prepared).await?;
                let inner = Run { prepared: &prepared, parameters, ..run.clone() };
                return self.explain_prepared(&options, &inner, sink).await;
            }
            return Err(PgError::unsupported("EXPLAIN of this kind of statement").into());
        }
        let prepared = self.contained(run.prepared, &explain.statement)?;
        let inner = Run { prepared: &prepared, ..run.clone() };
        self.explain_prepared(&options, &inner, sink).await
    }

    async fn explain_prepared(
        &mut self,
        options: &Options,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        let (planned, catalog) = self.plan_under_locks(run.prepared).await?;
        let plan = &planned.plan;
        let context = self.exec_context(&catalog, &run.parameters, false);
        let outline = executor::remote::outline(&plan.root, &context, plan.slot_count as usize).await?;
        let mut lines = planner::explain_with(
            plan,
            planner::ExplainOptions { costs: options.costs, verbose: options.verbose },
            &|node| outline.line(node).map(String::from),
        );
        if options.analyze {
            let recording =
                options.trace.then(|| Recording::begin(&self.server.env, self.server.options.node_id, None));
            let root = recording.as_ref().map_or_else(Span::none, |recording| recording.root("execute"));
            let commits = options.trace && run.alone && !self.in_block();
            let analyzed = self.analyze(plan, &catalog, &run.parameters, commits).instrument(root);
            let (rows, took, flows) = Box::pin(analyzed).await?;
            lines.extend(flows);
            lines.push(format!("Rows Returned: {rows}"));
            if options.timing || options.summary {
                lines.push(format!("Execution Time: {:.3} ms", took.as_secs_f64() * 1000.0));
            }
            lines.extend(recording.iter().flat_map(|recording| super::trace::lines(&recording.finish())));
        }
        if run.describe {
            sink.row_description(&[describe_column("QUERY PLAN", DataType::Text.into())], &run.formats);
        }
        for line in &lines {
            let mut writer = sink.begin_row(1);
            writer.value(line.as_bytes());
            writer.finish()?;
        }
        Ok(Tag::Plain("EXPLAIN"))
    }

    /// Runs a plan for its costs; answers with rows, time, and lines about what other nodes have done. `commits`: a statement that stands alone ends here, so that its trace has the commit.
    async fn analyze(
        &mut self,
        plan: &Arc<planner::Plan>,
        catalog: &StatementCatalog,
        parameters: &Arc<[Datum]>,
        commits: bool,
    ) -> ExecResult<(u64, Duration, Vec<String>)> {
        let began = self.server.env.monotonic();
        let mut execution = self.begin_execution(plan, catalog, parameters, false)?;
        let mut rows = 0u64;
        while let Some(batch) = execution.next().await? {
            rows += batch.rows as u64;
        }
        let took = self.server.env.monotonic().saturating_sub(began);
        let mut flows = Vec::new();
        for (node, flow) in execution.flows() {
            flows.push(format!(
                "Node {node}: Pages: {}  Rows Read: {}  Rows Sent: {}  Bytes Sent: {}",
                flow.pages, flow.rows_read, flow.rows_sent, flow.bytes_sent
            ));
        }
        drop(execution);
        if commits {
            self.commit().await?;
        }
        Ok((rows, took, flows))
    }
}
