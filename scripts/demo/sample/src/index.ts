export { slugify } from './slug.ts';
