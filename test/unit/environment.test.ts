import { describe, expect, it } from 'vitest';
import { allowed } from '../../src/process/environment.ts';
import { watches } from '../../src/verify/watcher.ts';

describe('the environment of what a run starts', () => {
  it('passes what tools need and no credentials', () => {
    const seen = allowed({ PATH: '/bin', LC_ALL: 'C', NPM_TOKEN: 's', AWS_SECRET_ACCESS_KEY: 's', MY_FLAG: '1' });
    expect(seen).toEqual({ PATH: '/bin', LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' });
  });

  it('sets neither CI nor colours, and passes those of the user', () => {
    expect(Object.keys(allowed({}))).toEqual(['GIT_TERMINAL_PROMPT']);
    expect(allowed({ CI: '1', NO_COLOR: '1', TERM: 'xterm' })).toMatchObject({ CI: '1', NO_COLOR: '1', TERM: 'xterm' });
  });

  it('passes and sets what the profile names', () => {
    const seen = allowed({ DATABASE_URL: 'postgres:///x', OTHER: 'x' }, ['DATABASE_URL', 'A=b=c', 'EMPTY=', 'ABSENT']);
    expect(seen).toMatchObject({ DATABASE_URL: 'postgres:///x', A: 'b=c', EMPTY: '' });
    expect(seen).not.toHaveProperty('OTHER');
    expect(seen).not.toHaveProperty('ABSENT');
  });
});

describe('a runner that would watch files', () => {
  const scripts = {
    test: 'vitest',
    once: 'vitest run',
    cra: 'react-scripts test',
    chain: 'tsc && npm test',
    mocha: 'mocha',
  };
  it.each([
    'vitest',
    'npx vitest',
    'pnpm exec vitest src/a.test.ts',
    'npm test',
    'npm t',
    'npm run chain',
    'yarn cra',
    'pnpm test -- src',
  ])('is seen in %s', (command) => expect(watches(command, scripts)).toBe(true));
  it.each([
    'vitest run',
    'npx vitest --run',
    'npm run once',
    'npm test -- --run',
    'npm run mocha',
    'vitest related a.ts',
    'echo vitest',
    'react-scripts build',
  ])('is not seen in %s', (command) => expect(watches(command, scripts)).toBe(false));
});
