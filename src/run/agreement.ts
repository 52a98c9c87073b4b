import { refuse } from '../errors.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The user's word, in the user's own environment: what Kimi wrote may run without a sandbox before it is merged. */
export const AGREED: Env = { KIMI_DISPATCH_UNREVIEWED: 'run' };

export const agreed = (env: Env): boolean => Object.entries(AGREED).every(([name, value]) => env[name] === value);

/** The refusal to run, outside a sandbox, what nobody has merged. The user can agree to it. */
export const notAgreed = (what: string): Error =>
  refuse(
    'unreviewed',
    `${what} would run what Kimi wrote and nobody has merged, as you and without a sandbox.`,
    'Install the sandbox (kimi-dispatch doctor); or read the change, then set KIMI_DISPATCH_UNREVIEWED=run for this command.',
  );
