import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slugify } from '../src/index.ts';

test('lower-cases', () => {
  assert.equal(slugify('Hello'), 'hello');
});

test('replaces every space', () => {
  assert.equal(slugify('a short title'), 'a-short-title');
});
