// A key, where the server asks for one.

import * as api from "/static/api.js";
import { $ } from "/static/dom.js";

let login = null;

export function listen() {
  api.whenKeyNeeded(() => {
    login ??= new Promise((done) => {
      $("login").showModal();
      $("login-form").onsubmit = async (event) => {
        event.preventDefault();
        try {
          await api.session($("key").value);
          $("login").close();
          login = null;
          done();
        } catch (error) {
          $("login-error").textContent = error.detail ?? error.message;
        }
      };
    });
    return login;
  });
}
