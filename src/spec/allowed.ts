import type { Spec } from './model.ts';

/** The spec with paths that a person accepted after the run: declared, whatever class they are of and whatever was done. */
export function withAllowed(spec: Spec, paths: readonly string[]): Spec {
  const [first, ...rest] = spec.tasks;
  if (first === undefined || paths.length === 0) return spec;
  const known = new Set(paths);
  const { at } = first;
  const tasks = [first, ...rest].map((task) => ({
    ...task,
    files: task.files.filter((file) => !known.has(file.path)),
  }));
  const files = [...known].map((path) => ({ verb: undefined, path, note: '', allowProtected: true, at }));
  return {
    ...spec,
    tasks: tasks.map((task, index) => (index === 0 ? { ...task, files: [...task.files, ...files] } : task)),
  };
}
