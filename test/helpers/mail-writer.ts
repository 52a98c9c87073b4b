// One of many processes that write into one mailbox: sends numbered messages, and moves one task with all the others.
import { Mailbox } from '../../src/mailbox/store.ts';

const [name = '', count = '0', task = ''] = process.argv.slice(2);
const box = new Mailbox(process.env, () => new Date());
box.register(name, '/w', '');
for (let index = 0; index < Number(count); index++)
  box.send({ from: name, to: 'claude', subject: `${name} ${index}`, content: `body ${index} ${'x'.repeat(200)}` });
if (task !== '') await box.updateTask(task, { by: name, note: `seen by ${name}` });
