/** What the user said when asked who implements a plan. */
export interface Answer {
  readonly who: 'kimi' | 'claude' | 'nobody';
  readonly profile?: string;
  /** The user's further words about the plan, for Kimi. */
  readonly note?: string;
}

/**
 * Reads "Kimi", "Claude" and typed words: "kimi, swarm profile", "kimi but keep the API". What begins with neither name
 * is no choice.
 */
export function readAnswer(words: string): Answer {
  const text = words.trim();
  const [, who, rest = ''] = /^\W*(?:delegate to )?(kimi|claude)\b[\s,.;:!-]*(.*)$/is.exec(text) ?? [];
  if (who === undefined) return { who: 'nobody' };
  if (who.toLowerCase() === 'claude') return { who: 'claude' };
  const named = /\b(?:with )?(?:the )?(?:profile (\w+)|(\w+) profile)\b/i.exec(rest);
  const profile = named?.[1] ?? named?.[2];
  const note = (named === null ? rest : rest.replace(named[0], ''))
    .replace(/^[\s,.;:-]*(?:but|and)\b/i, '')
    .replace(/\s+/g, ' ')
    .replace(/^[\s,.;:-]+|[\s,;:-]+$/g, '')
    .slice(0, 2000);
  return {
    who: 'kimi',
    ...(profile === undefined ? {} : { profile: profile.toLowerCase() }),
    ...(note === '' || /^(?:please|ok|yes|thanks?)\.?$/i.test(note) ? {} : { note }),
  };
}

/** A plan with the user's words about it, as a constraint that Kimi reads. */
export const withNote = (plan: string, note: string): string =>
  `${plan.trimEnd()}\n\n## Constraints\n- The user adds: ${note.replaceAll('\n', ' ')}\n`;
