const OPTION =
  /(?:^|\s)--(?:changed|changedSince|onlyChanged|only-changed|onlyFailures|only-failures|lf|last-failed|sw|stepwise|shard|findRelatedTests|testmon|picked|affected|partition)(?:[=\s]|$)/;
const WORDS = /\bvitest related\s|\bnx affected\b|\bjest\s(?:.*\s)?-[of](?:\s|$)/;

/** True for a command that picks its tests by what changed or failed last, or runs a part: its count says nothing. */
export const isSelective = (command: string): boolean => OPTION.test(command) || WORDS.test(command);
