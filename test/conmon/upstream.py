"""What Debian's conmon 2.1.6 is known not to do, by test: the name (of one row: with its brackets) and why.

"defect N" is a row of the table of known defects in the specification, a version is the one that brought the behaviour, "ours" is an
option that only our monitor has.
"""

from __future__ import annotations

SILENT = "2.1.13: a silent failure only closes the sync pipe"
CTL = "defect 32: a bad line swallows or poisons the following ones, 0 to 65535 is not checked"

KNOWN: dict[str, str] = {
    "test_8_values_beyond_ascii_in_the_c_locale": "defect 27: values are converted from the locale",
    "test_9_seccomp_options_are_accepted": "2.1.6 has the options and wants a plugin",
    "test_10_log_specs[a path with a colon]": "defect 28: cut at the second colon",
    "test_19_a_pid_file_that_cannot_be_written_leaves_no_container": "defect 29",
    "test_20_the_runtimes_arguments_with_a_terminal[exec]": "2.1.11: no --tty",
    "test_21_a_bad_listen_pid_is_a_failure": SILENT,
    "test_23_the_containers_signals_are_clean": "SIGPIPE is inherited as ignored",
    "test_23_what_the_caller_ignores_and_blocks_is_not_handed_on": "dispositions are inherited",
    "test_24_the_containers_pipes_are_open_to_everybody": "2.1.8: pipes get mode 0777",
    "test_28_invalid_utf8_becomes_something_that_any_decoder_takes": "bytes are passed through",
    "test_29_a_silent_failure_has_some_message": SILENT,
    "test_29_a_runtime_that_cannot_be_executed": SILENT,
    "test_30_much_stderr_arrives_as_json_through_small_reads": "defects 5 and 6: deadlock, one packet of 8 KiB",
    "test_31_success_without_a_pid_is_a_failure": SILENT,
    "test_33_what_fails_before_the_runtime_is_reported": "defect 7",
    "test_33_an_unusable_tmpdir_is_survived_or_reported": "defect 7",
    "test_34_no_terminal_arrives": SILENT,
    "test_37_the_callers_end_of_the_pipe_is_gone": "a closed sync pipe is fatal before 2.1.8",
    "test_45_an_existing_file_counts": "2.1.10: the counter starts at the file's size",
    "test_45_a_limited_file_holds_the_tail[rotating]": "2.2.0: --log-rotate",
    "test_47_rotation_makes_numbered_files_without_losing_a_record": "2.2.0: --log-rotate",
    "test_48_reopening_makes_a_new_directory_entry": "2.1.13: mode 0640; 2.2.0: --log-rotate",
    "test_51_labels_and_no_partial_mark": "2.2.0: --log-label",
    "test_51_labels_too_big_for_a_datagram": "2.2.0: --log-label",
    "test_52_a_stuck_journald_does_not_delay_the_exit": "it blocks in the send",
    "test_56_the_end_is_no_reset_though_input_is_unread": "defect 23",
    "test_59_a_client_that_does_not_read_stops_neither_ctl_nor_signals_nor_exit": "defect 3",
    "test_59_a_client_that_pauses_shortly_loses_nothing": "ours: --attach-stall-limit",
    "test_60_the_exit_is_published_while_a_client_does_not_read": "defect 3",
    "test_61_a_thousand_attachments_leave_nothing": "defect 4",
    "test_62_at_the_limit_of_descriptors_nothing_spins": "defect 4",
    "test_65_without_stdin_input_goes_nowhere": "input is parked, the client gets a reset",
    "test_66_a_container_that_closes_stdin_costs_nothing": "defect 1",
    "test_68_links_of_all_lengths": "defect 25: the link stays",
    "test_69_socket_and_link_are_gone_when_the_exit_file_appears": "defect 25",
    "test_70_big_packets_of_input[65536]": "what is beyond 32 KiB is cut off",
    "test_70_big_packets_of_input[150000]": "what is beyond 32 KiB is cut off",
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[garbage]": CTL,
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[garbage with digits]": CTL,
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[a negative number]": CTL,
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[a number above 65535]": CTL,
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[an unknown kind]": CTL,
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[a line of 300 bytes]": CTL,
    "test_73_a_bad_line_does_not_harm_a_good_one_behind_it[a short line]": CTL,
    "test_73_lines_split_and_merged_with_extra_words_and_carriage_returns": CTL,
    "test_75_a_terminal_that_nobody_has_open_costs_no_wakeups": "defect 31",
    "test_77_input_works_again_after_detaching[-t -i]": "defect 33",
    "test_79_a_long_tmpdir": "the path does not fit into a socket's address",
    "test_81_one_missing_directory_does_not_stop_the_rest": "the first failure skips the rest",
    "test_83_what_the_exit_command_is_given": "defect 11: signals blocked and ignored",
    "test_85_restarted_containers_have_clean_signals[runc]": "defect 11",
    "test_90_other_signals_do_nothing[1]": "defect 12",
    "test_90_other_signals_do_nothing[12]": "defect 12",
    "test_90_other_signals_do_nothing[14]": "defect 12",
    "test_90_terminating_during_create_is_a_failure": SILENT,
    "test_92_a_runtime_that_is_killed_during_create_is_a_failure": SILENT,
    "test_94_running_out_of_memory_is_recorded_before_the_exit": "defect 24: the file is in the working directory",
    "test_94_a_real_container_that_runs_out_of_memory": "defect 24",
    "test_94_podman_sees_an_oom_kill[runc]": "defect 24",
    "test_94_podman_sees_an_oom_kill[crun]": "defect 24",
    "test_94_version_2_with_a_real_kernel": "defect 24",
    "test_94_version_2_events_are_understood": "it takes the first line of a process's cgroups, which is one of version 1 here",
    "test_95_the_notify_relay": "2.1.9: the filter; abstract addresses are taken for paths",
}

# It does these or not, as it happens: nothing can be said of them either way.
UNSURE: dict[str, str] = {
    "test_87_an_endless_writer_in_the_background_delays_nothing": "defect 16: the last drain has no end, unless the writer pauses",
    "test_91_a_process_that_is_not_a_child_is_watched_to_its_end": "defect 10: a premature -1 when its own child ends first",
}

# Modules about options that upstream does not have at all.
OURS = ("test_arm64.py", "test_policy.py", "test_build.py", "test_fairness.py", "test_complete.py", "pinns", "pause")


def known(name: str) -> str | None:
    """Why upstream fails the test ``name``; None when it has to pass."""
    return KNOWN.get(name) or KNOWN.get(name.partition("[")[0])
