/** Sentences for people in the views. What programs read (JSON, events, results for Claude) is never translated. */
const EN = {
  noRuns: 'No runs. Start one: kimi-dispatch run plan.md',
  merged: 'merged',
  discarded: 'discarded',
  running: 'running',
  starting: 'starting',
  elsewhere: 'in a container that cannot be seen from here',
  lost: 'lost',
  queued: 'in the queue',
  toReview: 'To review',
  toAnswer: 'To answer',
  toMend: 'To mend',
  atWork: 'At work',
  nothingElse: 'Nothing waits for you.',
  done: 'Done',
  mergedCount: 'merged',
  discardedCount: 'discarded',
  asks: 'asks',
  ended: 'has ended',
  diskUse: 'on disk',
  watching: 'Ctrl-C ends the watching; the runs go on.',
  step: 'step',
  escalated: 'For a person',
  mail: 'Unread mail for Claude',
  tasks: 'Open tasks',
} as const;

export type Words = { readonly [name in keyof typeof EN]: string };

const JA: Words = {
  noRuns: '実行はまだありません。開始するには: kimi-dispatch run plan.md',
  merged: 'マージ済み',
  discarded: '破棄済み',
  running: '実行中',
  starting: '開始中',
  elsewhere: 'ここから見えないコンテナ内',
  lost: '中断(ディスパッチャ停止)',
  queued: 'キュー待ち',
  toReview: 'レビュー待ち',
  toAnswer: '回答待ち',
  toMend: '対処が必要',
  atWork: '作業中',
  nothingElse: '対応が必要なものはありません。',
  done: '完了',
  mergedCount: 'マージ済み',
  discardedCount: '破棄済み',
  asks: '質問',
  ended: 'が終了しました',
  diskUse: 'ディスク使用量',
  watching: 'Ctrl-C で表示を終了します(実行は続きます)。',
  step: 'ステップ',
  escalated: '人の判断が必要',
  mail: 'Claude の未読メール',
  tasks: '未完了タスク',
};

const LANGUAGES: Readonly<Record<string, Words>> = { en: EN, ja: JA };

/** The words of the language that the user set (`KIMI_DISPATCH_LANG`, else the settings file), else English. */
export const wordsFor = (language: string | undefined): Words => LANGUAGES[language ?? 'en'] ?? EN;

export const languages = Object.keys(LANGUAGES);
