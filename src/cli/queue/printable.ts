/** What a terminal would act upon instead of showing it; line ends and tabs are left. */
// eslint-disable-next-line no-control-regex -- control characters are what must not get to the terminal
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Text of somebody else's, such as a prompt or an answer, as it may go to a terminal. */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(controls, '\ufffd');
}

/** The same for a name, which has one line. */
export function printableName(name: string): string {
  return printable(name).replaceAll(/[\n\t]/g, '\ufffd');
}
