import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { html as diffHtml } from 'diff2html';
import type { RunEvent } from '../ledger/events.ts';
import { reveal, markup as text } from '../quote.ts';
import { ok } from '../verify/compare.ts';
import type { Result } from './result.ts';

const LARGEST_DIFF = 2 * 1024 * 1024;

/** One self-contained page of a run: no script, nothing from elsewhere, light and dark. */
export function resultPage(result: Result, events: readonly RunEvent[], diff: string, css: string): string {
  const shown = diff.length > LARGEST_DIFF ? '' : diff;
  const changes =
    shown === ''
      ? `<p>${diff === '' ? 'Nothing was changed.' : 'The diff is too large for a page: see changes.patch.'}</p>`
      : diffHtml(reveal(shown), {
          outputFormat: 'side-by-side',
          drawFileList: true,
          matching: 'lines',
          colorScheme: 'auto' as never,
        });
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">',
    `<title>${text(result.outcome)} ${text(result.run)}</title>`,
    `<style>${css}\n${STYLE}</style></head><body>`,
    `<header><h1>${text(result.title)}</h1><p class="outcome ${result.outcome === 'succeeded' ? 'good' : 'bad'}">${text(result.outcome)}</p>`,
    `<p>${text(result.run)} · base ${text(result.base.slice(0, 12))} · branch ${text(result.branch)} · sandbox ${text(result.sandbox)}</p>`,
    result.reason === undefined ? '' : `<p>${text(result.reason)}</p>`,
    '</header><main>',
    `<section><h2>Verification${result.claimed === true ? ' (claimed by the first job, not run again here)' : ''}</h2>${verificationTable(result)}</section>`,
    `<section><h2>Gate</h2>${gateList(result)}</section>`,
    `<section><h2>Steps</h2>${timeline(events)}</section>`,
    `<section><h2>The worker says (not verified)</h2><p>${text(result.report?.result.summary ?? 'Nothing.')}</p></section>`,
    `<section><h2>Changes</h2>${changes}</section>`,
    '</main></body></html>\n',
  ].join('\n');
}

function verificationTable(result: Result): string {
  if (result.verification.length === 0) return '<p>No command was run.</p>';
  const rows = result.verification.map((row) => {
    const before = row.before === undefined ? '-' : ok(row.before) ? 'pass' : 'red';
    const after = ok(row.after) ? 'pass' : 'red';
    return `<tr class="${after}"><td><code>${text(row.command)}</code></td><td>${before}</td><td>${after}</td><td>${row.verdict}</td></tr>`;
  });
  return `<div class="wide"><table><thead><tr><th>command</th><th>before</th><th>after</th><th>verdict</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function gateList(result: Result): string {
  const items = [
    ...result.scope.violations.map(({ path, why }) => `<li class="red"><code>${text(path)}</code> ${text(why)}</li>`),
    ...result.flags.map(({ path, why }) => `<li><code>${text(path)}</code> ${text(why)}</li>`),
  ];
  return items.length === 0 ? '<p>Nothing to remark.</p>' : `<ul>${items.join('')}</ul>`;
}

function timeline(events: readonly RunEvent[]): string {
  const steps = events.filter((event) => event.type === 'step-ended');
  const all = Math.max(1, ...steps.map((event) => event.ms));
  const rows = steps.map(
    (event) =>
      `<tr><td>${text(event.step)}</td><td>${(event.ms / 1000).toFixed(1)} s</td><td class="bar"><span style="width:${Math.max(1, Math.round((event.ms / all) * 100))}%"></span></td></tr>`,
  );
  return `<table class="steps"><tbody>${rows.join('')}</tbody></table>`;
}

const STYLE = `:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#d0d7de;--good:#1a7f37;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--line:#30363d;--good:#3fb950;--bad:#ff7b72}}
*{box-sizing:border-box}body{margin:0;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
header,main{max-width:1200px;margin:0 auto;padding:16px}h1{margin:0;font-size:22px;overflow-wrap:anywhere}h2{font-size:17px}
p,li{overflow-wrap:anywhere}.outcome{font-weight:700;margin:4px 0}.good,tr.pass td:nth-child(3){color:var(--good)}.bad,.red{color:var(--bad)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:4px 8px;border-bottom:1px solid var(--line);vertical-align:top}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}.wide,.d2h-wrapper{overflow-x:auto}.steps .bar{width:50%}
.bar span{display:block;height:10px;margin-top:6px;background:var(--good);border-radius:3px}
@media(max-width:700px){.d2h-file-side-diff{width:100%;display:block}}`;

/** The renderer's own style sheet, which the build lays into the program's folder. */
export const diffStyle = (root: string): string => readFileSync(join(root, 'dist', 'diff2html.min.css'), 'utf8');
