"""The public surface, frozen: a name that comes or goes is a decision, made here."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sigma68
from sigma68 import errors

SOURCE = Path(sigma68.__file__).parent

SURFACE: dict[str, set[str]] = {
    "sigma68": {
        *("Interval", "Method", "Observation", "Prediction", "RunSettings", "Score"),
        *("Sigma68Error", "Task", "Truth", "evaluate", "load_task", "score_folder", "stream"),
        *("trained", "write_report"),
    },
    "sigma68.types": {
        *("LEVEL", "Answer", "AnswerKind", "Estimate", "Feature", "Interval", "Labelled"),
        *("Nuisance", "Observation", "Parameter", "PoolStatistics", "Prediction", "Score"),
        *("Status", "Strangeness", "ToyResult", "Truth"),
    },
    "sigma68.protocols": {
        *("ComponentSource", "KnownBest", "KnownComponents", "KnownLikelihood", "Method"),
        *("DeferredPool", "HasInvariants", "HasLikelihood", "HasRegions", "Pool", "Pools"),
        *("HasMainFeatures", "HasUnbinnedLikelihood"),
        *("Progress", "Region", "Resumable", "ScaledProcesses", "Task"),
    },
    "sigma68.seeds": {"Stream", "stream"},
    "sigma68.summaries": {
        *("Columns", "HasImages", "HasKnownNoise", "HasObservations", "HasSummaries"),
        *("HeldObservations", "ScoresResamples", "TakesResults"),
        "HasPictureLabels",
    },
    "sigma68.discover": {
        *("Kind", "load_task", "method_class", "method_names", "summaries", "task_names"),
    },
    "sigma68.run.settings": {
        *("FILE_NAME", "CalibrationSettings", "RunSettings", "check_same", "read_settings"),
    },
    "sigma68.run.calibrated": {"FILE_NAME", "Calibrated", "calibration_of"},
    "sigma68.run.calibration": {"FILE_NAME", "ensure_calibrated", "write_calibration"},
    "sigma68.run.evaluate": {"LOG", "POOL", "ProgressCallback", "RunProgress", "evaluate"},
    "sigma68.run.models": {
        *("ABOUT", "ensure_trained", "load_model", "model_cache", "settings_in_run", "trained"),
        "train_into",
    },
    "sigma68.score.files": {
        *("rank_folders", "read_score", "score_document", "score_folder", "settings_of"),
        *("strict", "task_of"),
    },
    "sigma68.score.ranking": {"RankedEntry", "Ranking", "group_by_ties", "rank"},
    "sigma68.score.headline_ranking": {
        *("WHOLE_TABLES", "HeadlineEntry", "HeadlineRanking", "rank_by_headline"),
    },
    "sigma68.score.places": {
        *("Placed", "Places", "fails_too_often", "few_sets", "group_by_ties"),
        *("score_differences", "why_unpaired"),
    },
    "sigma68.score.pool_error": {"PoolError", "pool_error"},
    "sigma68.score.best_widths": {
        *("FILE_NAME", "BestWidths", "OverBest", "OverKind", "best_widths", "over_best"),
        "read_best_widths",
    },
    "sigma68.report.data": {
        *("DataSource", "DataSummary", "ScoredEvents", "summarise", "write_data_report"),
    },
    "sigma68.challenge.entries": {
        *("Entry", "EntryCrashed", "EntryFailed", "EntryInvalid", "EntryProcess"),
        *("EntryTimeout", "EntryToyError", "Finding", "Limits", "TrainSet", "check_entry"),
        *("export_train", "new_entry", "open_entry"),
    },
    "sigma68.challenge.judge.judge": {"judge"},
    "sigma68.challenge.judge.plan": {
        *("Candidate", "Energy", "Isolation", "JudgingStopped", "Plan", "Verdict"),
    },
    "sigma68.challenge.sandbox.box": {"Box", "Sandbox", "Trusted"},
    "sigma68.challenge.sandbox.limits": {"Limits"},
    "sigma68.challenge.sandbox.probe": {"memory_is_held_by", "probe", "require"},
    "sigma68.challenge.exchange.bundle": {
        *("BundleChallenge", "BundleColumn", "BundleLeaderboard", "BundlePage", "BundlePhase"),
        *("BundleSolution", "BundleTask"),
    },
    "sigma68.challenge.exchange.bundle_read": {"OpenBundle", "open_bundle", "picture_kind"},
    "sigma68.challenge.exchange.bundle_write": {"competition_yaml", "write_bundle"},
    "sigma68.challenge.exchange.export": {
        *("NEVER", "SECRET_COLUMNS", "SECRET_TABLES", "export_all"),
    },
    "sigma68.challenge.exchange.from_bundle": {"ImportedBundle", "import_bundle"},
    "sigma68.challenge.exchange.restore": {"import_all"},
    "sigma68.challenge.exchange.to_bundle": {"QUESTIONS", "export_bundle"},
    "sigma68.challenge.store.files": {"Files", "open_files"},
    "sigma68.challenge.store.stores": {"Store", "open_store"},
    "sigma68.challenge.store.migrate": {"differences", "upgrade"},
    "sigma68.challenge.store.engine": {"open_engine", "reading", "writing"},
    "sigma68.challenge.queue.jobs": {
        *("LEASE", "Lease", "MOST_ATTEMPTS", "add_log", "end", "enqueue", "fail"),
        *("give_back", "heartbeat", "lease", "reclaim"),
    },
    "sigma68.challenge.queue.overview": {"Overview", "Running", "ahead", "overview"},
    "sigma68.challenge.queue.pool": {
        *("DATABASE", "FILES", "WorkerSettings", "Workers", "start_worker", "stdin_closed"),
    },
    "sigma68.challenge.queue.run": {
        *("WorkerSettings", "default_folder", "refuse_without_sandbox", "run_workers"),
    },
    "sigma68.challenge.queue.holders": {"holder_name", "is_dead"},
    "sigma68.challenge.queue.soundness": {"OVERDUE", "faults"},
    "sigma68.challenge.queue.worker": {"Judge", "Worker", "utc_now"},
    "sigma68.challenge.rules.accounts": {
        *("by_identity", "create", "create_for_identity", "end_sessions", "find"),
        *(
            "Hashed",
            "has_password",
            "hashed",
            "listing",
            "require_organiser",
            "session_epoch",
            "set_disabled",
        ),
        *("set_password", "set_pseudonym", "set_role", "sign_in"),
    },
    "sigma68.challenge.rules.board": {
        *("announce", "announcements", "answer", "ask", "hide_answer", "hide_question"),
        *("question", "questions", "withdraw"),
    },
    "sigma68.challenge.rules.challenges": {
        "by_slug",
        "create",
        "edit",
        "listing",
        "page",
        "set_page",
    },
    "sigma68.challenge.rules.finals": {
        *("candidates", "part_of", "pieces_complete", "start", "start_due"),
    },
    "sigma68.challenge.rules.jury": {"marks_of", "set_fact_sheet", "set_mark"},
    "sigma68.challenge.rules.leaderboards": {
        *("Leaderboard", "LeaderboardRow", "best_of_each", "leaderboard", "packed"),
        "unpacked",
    },
    "sigma68.challenge.results.giving": {"Giving", "copy_given", "phases_that_give"},
    "sigma68.challenge.results.make": {"Made", "make_observations"},
    "sigma68.challenge.results.read": {"Wanted", "check_results"},
    "sigma68.challenge.results.score": {
        *("N_RESAMPLES", "is_for_results", "resampled_scores", "scored"),
    },
    "sigma68.challenge.rules.observations": {"given_away", "results_task", "why_none"},
    "sigma68.challenge.rules.uploads": {"Looked", "look_at", "wanted_of"},
    "sigma68.challenge.rules.phases": {
        *(
            "FEWEST_OBSERVATIONS",
            "PhaseSettings",
            "State",
            "add",
            "board_changed",
            "delete",
            "edit",
            "find",
            "secret_seed",
            "state",
        ),
    },
    "sigma68.challenge.rules.refusals": {
        *("BusyError", "ConflictError", "ForbiddenError", "NotFoundError", "QuotaError"),
        *("RefusedError", "SignInError"),
    },
    "sigma68.challenge.rules.submissions": {
        *("Allowance", "FAILED_UPLOADS_A_DAY", "allowance", "cancel", "choose", "chosen"),
        *("day_of", "refund", "restart", "submit"),
    },
    "sigma68.challenge.rules.teams": {
        *("create", "join", "leave", "listing", "members", "membership_of"),
        *("new_invite_code", "rename", "set_anonymous", "team_of"),
    },
    "sigma68.challenge.rules.tokens": {"by_token", "new_token", "revoke_token", "tokens_of"},
    "sigma68.challenge.rules.views": {
        *("failed_uploads", "latest_log", "of_phase", "of_team", "shown_until", "submission"),
        "visible_result",
    },
    "sigma68.challenge.web.app": {"create_app"},
    "sigma68.challenge.web.settings": {
        *("OidcSettings", "ServerSettings", "oidc_from", "secret_of"),
    },
    "sigma68.challenge.web.serve": {"Options", "serve"},
    "sigma68.challenge.web.client": {"TOKEN", "Challenge", "Client", "Note", "read_token"},
    "sigma68.tasks.gaussian.task": {"Gaussian"},
    "sigma68.tasks.higgs.task": {"Higgs"},
    "sigma68.tasks.higgs.files": {
        "TRUTH_FILE",
        "bias_file",
        "holds_toys",
        "labelled_chunks",
        "write_toys",
    },
    "sigma68.tasks.higgs.sources": {"DEFAULT", "NAMES", "located", "spelled"},
    "sigma68.tasks.higgs.emulate.source": {
        *("BYTES_PER_ROW", "EVEN_MIXTURE", "MOST_ROWS", "NAME", "TRAIN_MIXTURE", "TRAIN_ROWS"),
        *("EmulatedSource", "emulated_source", "in_short", "number_of_rows", "shares_of"),
    },
    "sigma68.tasks.higgs.emulate.pools": {"EmulatedPool", "open_emulated"},
    "sigma68.tasks.higgs.emulate.writing": {
        *("Emulated", "emulate_file", "emulated_file", "processes_of_rows"),
    },
    "sigma68.tasks.higgs.sample": {"STRATA", "Sample", "sample_events"},
    "sigma68.tasks.higgs.export": {"export_events", "refuse_itself"},
    "sigma68.tasks.higgs.contents": {"AREAS", "Contents", "cells_of", "take_contents"},
    "sigma68.tasks.higgs.embedded": {"CROISSANT_FILE", "LIMIT_BYTES", "PATH"},
    "sigma68.tasks.higgs.embedded.pack": {"pack"},
    "sigma68.tasks.higgs.simulate.production": {
        *("FILE_NAME", "HARD_EVENTS", "LOG", "Advance", "Common", "Maker", "simulate"),
    },
    "sigma68.tasks.higgs.simulate.plan": {
        *("DEFAULT_MIXTURE", "Goal", "Hours", "Ledger", "Rows", "ShardCount", "shared"),
    },
    "sigma68.tasks.higgs.simulate.merge": {
        *("BELOW", "Merged", "MergedProcess", "find_shards", "merge"),
    },
    "sigma68.tasks.higgs.public": {
        *("HIGGS", "Copy", "Record", "chosen_folder", "convert", "copies", "data_folder"),
        *("fetch", "located"),
    },
    "sigma68.tasks.higgs.emulate.best": {
        *("BEST", "GRID", "MIXTURE", "BestIntervals", "compute", "load", "main"),
    },
    "sigma68.tasks.higgs.emulate.components": {"FACTORS", "EmulatedComponents", "log_densities"},
    "sigma68.inference.vector": {
        *("FARTHEST", "Fit", "FitVector", "ProfiledLikelihood", "covariance_of"),
    },
    "sigma68.inference.post_fit_events": {"Distribution", "EventSample", "distributions"},
    "sigma68.inference.ratio_closure": {
        *("Closure", "LearnedRatios", "LearnsRatios", "ResponseClosure", "ShareClosure"),
        *("closure", "of_model", "of_network", "response_closure", "share_calibration"),
    },
    "sigma68.report.closure": {"closure_document", "closure_figures", "closure_rows"},
    "sigma68.inference.ratio_model": {"Polynomials", "RatioEvents", "RatioModel"},
    "sigma68.inference.density_ratios": {"RatioLikelihood"},
    "sigma68.inference.bounded_newton": {
        *("Derivatives", "Minimum", "lowest", "minimise", "profile_end"),
    },
    "sigma68.learning.inputs": {"Inputs"},
    "sigma68.learning.partition": {"Partition", "PartitionChoice", "grow"},
    "sigma68.learning.ratios": {
        *("RatioNetwork", "RatioSettings", "ratio_polynomials", "train_ratios"),
    },
    "sigma68.learning.network": {"Layer", "Network", "NetworkSettings", "train"},
    "sigma68.learning.fit_network": {"follow", "layers_of", "torch_with", "train_network"},
    "sigma68.inference.unbinned": {"MixtureLikelihood", "shares_of"},
    "sigma68.inference.diagnostics": {
        *("Breakdown", "Correlation", "Impacts", "ProfileScan", "Pulls", "correlation"),
        *("error_breakdown", "impacts", "profile_scan", "pulls"),
    },
    "sigma68.inference.fit_quality": {
        *("Goodness", "PostFit", "ToyGoodness", "goodness", "post_fit", "toy_goodness"),
    },
    "sigma68.inference.fit_summary": {
        *("BinnedSummary", "EventSummary", "FitSummary", "summarise_events", "summarise_fit"),
    },
    "sigma68.inference.interchange": {"pyhf_workspace"},
    "sigma68.report.fit": {"DOUBTFUL", "write_fit_report"},
    "sigma68.report.fit_figures": {
        *("fit_correlation_figure", "goodness_figure", "post_fit_figure"),
        *("pulls_and_impacts_figure", "scan_figure"),
    },
    "sigma68.inference.neyman": {"Belt", "build_belt"},
    "sigma68.inference.sampling": {"Posterior", "sample_posterior", "split_r_hat"},
    "sigma68.inference.summary_likelihood": {
        *("SummaryLikelihood", "fit_summary_likelihood", "legendre_terms", "monomials"),
    },
    "sigma68.inference.box_density": {"MOST_PARAMETERS", "BoxDensity"},
    "sigma68.inference.posterior_checks": {"PosteriorChecks", "covered", "place_truth"},
    "sigma68.learning.convolution": {"Convolution", "ImageNetwork", "ImageSettings"},
    "sigma68.learning.image_method": {"Answers", "ImageMethod"},
    "sigma68.learning.image_sets": {
        *("ImageSet", "blocks", "equal_area_weights", "gather_images", "seen_share"),
    },
    "sigma68.report.observation_figures": {
        *("contour_figure", "enclosing", "image_figure", "summary_figure"),
    },
    "sigma68.report.posterior_check_figures": {"expected_coverage_figure", "rank_figure"},
    "sigma68.run.shipped": {"MADE", "SHIPPED", "ship", "shipped_model"},
    "sigma68.tasks.lensing.submission": {
        *("read_estimates", "read_strangeness", "write_estimates", "write_strangeness"),
    },
    "sigma68.inference.scale": {"Scale", "Tails", "learn_scale"},
    "sigma68.inference.calibrate": {
        *("Calibration", "Correction", "Coverage", "calibrate", "correction_from_json", "learn"),
    },
    "sigma68.inference.information": {"component_information", "smallest_error"},
    "sigma68.tasks.higgs.validation.validate": {"LARGE", "LEVEL", "POOLED", "validate"},
    "sigma68.tasks.higgs.validation.judgement": {
        *("EMULATOR", "JUDGEMENTS", "PARTS", "SIMULATION", "Judgement", "Verdict"),
        "judgement_for",
    },
    "sigma68.tasks.higgs.validation.result": {
        *("FILE_NAME", "PARTS", "VERSION", "EventsSummary", "TrainingSummary", "Validation"),
        "write_validation",
    },
    "sigma68.tasks.higgs.validation.tables": {
        *("YieldTable", "published", "read_table", "table_of"),
    },
    "sigma68.tasks.higgs.validation.verdict": {"Finding", "findings", "passes"},
    "sigma68.report.validation": {"write_validation_report"},
    "sigma68.tasks.lensing.official": {
        *("GRID_FILE", "LABEL_FILE", "MASK_FILE", "NEW_FILE", "NEW_LABEL_FILE"),
        *("STRANGE_TEST_FILE", "TEST_FILE", "OfficialPool", "open_official", "read_maps"),
        "read_mask",
    },
    "sigma68.tasks.lensing.scores": {
        *("FLOOR", "estimate_score", "roc_curve", "score_estimated", "strangeness_score"),
        *("summary_of_estimates", "toy_scores"),
    },
    "sigma68.download": {"Patience", "download", "only_one", "partial_bytes", "sha256_of"},
    "sigma68.meter": {"HowFar", "Meter", "Report"},
    "sigma68.unpack": {"BROKEN_ZIP", "UnpackLimits", "unpack"},
    "sigma68.web_source": {"Answer", "Interrupted", "ask", "check_url"},
    "sigma68.cli": {"app", "main"},
}

ERRORS = {
    *("Sigma68Error", "InputError", "DataError", "NuisanceError", "SettingsError", "EntryError"),
    *("DownloadError", "OutputError", "MissingExtraError", "ModelMismatchError", "FitError"),
    *("ExchangeError", "IsolationError", "ProtocolError", "SubmitError"),
}


def declared() -> dict[str, list[str]]:
    """`__all__` of every module, read without importing it."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found[name] = ast.literal_eval(node.value)
    return found


@pytest.mark.parametrize("module", SURFACE)
def test_the_surface_is_what_was_decided(module: str) -> None:
    assert set(import_module(module).__all__) == SURFACE[module]


def test_every_name_that_is_promised_exists_once() -> None:
    for module, names in declared().items():
        assert len(names) == len(set(names)), module
        missing = [name for name in names if not hasattr(import_module(module), name)]
        assert missing == [], module


def test_the_tree_of_errors_is_as_its_docstring_draws_it() -> None:
    classes = {
        name: cls for name, cls in inspect.getmembers(errors, inspect.isclass) if name in ERRORS
    }
    assert set(classes) == ERRORS
    assert all(issubclass(cls, errors.Sigma68Error) for cls in classes.values())
    assert all(name in (errors.__doc__ or "") for name in ERRORS)


def test_names_of_the_package_are_those_of_their_modules() -> None:
    from sigma68.run.evaluate import evaluate
    from sigma68.types import Interval

    assert sigma68.evaluate is evaluate
    assert sigma68.Interval is Interval
    assert set(sigma68.__all__) <= set(dir(sigma68))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = sigma68.nothing


def test_importing_the_package_imports_no_other() -> None:
    code = "import sys; before = set(sys.modules); import sigma68; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in ast.literal_eval(done.stdout)}
    assert not loaded & {"numpy", "pandas", "numba", "scipy", "pyarrow", "matplotlib", "typer"}
