import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec('page', { files: ['MODIFY greet.txt'] }));
});
afterEach(() => lab.remove());

describe('help for people', () => {
  it('groups the commands, everyday ones first, and gives examples for each', async () => {
    const { stdout } = await lab.run(['--help']);
    const order = ['run', 'status', 'show', 'diff', 'merge', 'discard'].map((name) =>
      stdout.search(new RegExp(`^ {2}${name} `, 'm')),
    );
    expect([...order].sort((left, right) => left - right)).toEqual(order);
    const names = [...stdout.matchAll(/^ {2}([a-z]+)(?: |$)/gm)].map((match) => match[1] ?? '');
    expect(names.length).toBeGreaterThan(25);
    for (const name of names)
      expect([name, (await lab.run([name, '--help'])).stdout]).toEqual([name, expect.stringContaining('Examples:')]);
  }, 30_000);

  it('completions are scripts that their shells read, and the manual page is one', async () => {
    const script = (await lab.run(['completion', 'bash'])).stdout;
    expect(spawnSync('bash', ['-n'], { input: script }).status).toBe(0);
    const said = execFileSync(
      'bash',
      ['-c', `${script}\nCOMP_WORDS=(kimi-dispatch me); COMP_CWORD=1; _kimi_dispatch; echo "\${COMPREPLY[@]}"`],
      { encoding: 'utf8', cwd: lab.repo },
    );
    expect(said.trim()).toBe('merge');
    for (const shell of ['zsh', 'fish']) expect((await lab.run(['completion', shell])).stdout).toContain('revise');
    expect((await lab.run(['completion', 'tcsh'])).code).toBe(2);
    expect((await lab.run(['manual'])).stdout).toMatch(/^\.TH KIMI/);
  });

  it('estimates, and says whether that was measured', async () => {
    writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
    expect((await lab.run(['check', '../spec.md'])).stderr).toMatch(/about \d+ requests and \d+ min \(estimated/);
    for (let count = 0; count < 3; count++) await lab.run(['run', '../spec.md', '--no-baseline']);
    expect((await lab.run(['check', '../spec.md'])).stderr).toMatch(/measured: the median of the last 3 runs/);
  });

  it("runs the user's own command when a run ends, with the run in its environment and nothing in the shell", async () => {
    mkdirSync(join(lab.home, '.config', 'kimi-dispatch'), { recursive: true });
    const seen = join(lab.folder, 'seen');
    writeFileSync(
      join(lab.home, '.config', 'kimi-dispatch', 'config.toml'),
      `notify = "echo \\"$KIMI_DISPATCH_OUTCOME $KIMI_DISPATCH_TITLE\\" > ${seen}"\nlanguage = "ja"\n`,
    );
    writeFileSync(
      join(lab.folder, 'spec.md'),
      spec('success').replace('Change the greeting', '$(touch hacked) `touch hacked`'),
    );
    await lab.run(['run', '../spec.md', '--no-baseline']);
    expect(readFileSync(seen, 'utf8')).toMatch(/^succeeded \$\(touch hacked\) `touch hacked` が終了しました/);
    expect(existsSync(join(lab.repo, 'hacked'))).toBe(false);
  });
});

const BROWSER = '/usr/bin/chromium';
describe.skipIf(!existsSync(BROWSER))('the page in a real browser (needs chromium)', () => {
  it('fits three widths, light and dark, runs no script and loads nothing', async () => {
    await lab.run(['run', '../spec.md', '--no-baseline']);
    const file = (await lab.run(['show', '@last', '--html'])).stdout.trim();
    const browser = await chromium.launch({
      executablePath: BROWSER,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
    try {
      for (const [width, scheme] of [
        [360, 'light'],
        [800, 'dark'],
        [1400, 'light'],
      ] as const) {
        const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
        const asked: string[] = [];
        const alerts: string[] = [];
        page.on('request', (request) => asked.push(request.url()));
        page.on('dialog', (dialog) => {
          alerts.push(dialog.message());
          void dialog.dismiss();
        });
        await page.goto(`file://${file}`);
        const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
        expect([width, wide]).toEqual([width, 0]);
        expect(asked).toEqual([`file://${file}`]);
        expect(alerts).toEqual([]);
        expect(await page.getByText('<script>alert("please")</script>').count()).toBeGreaterThan(0);
        const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
        expect(background).toBe(scheme === 'dark' ? 'rgb(13, 17, 23)' : 'rgb(255, 255, 255)');
        await page.close();
      }
    } finally {
      await browser.close();
    }
  }, 60_000);
});
