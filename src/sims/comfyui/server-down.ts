/** The server went down in the middle of something: nothing more is to be done or told. */
export class ServerDown extends Error {}
