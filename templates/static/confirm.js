// This is the browser that sent the form, so its own page presses the button: once, and only when somebody looks at it.
const form = document.querySelector("form[data-by-itself]");
let pressed = false;

function press() {
  if (form && !pressed && !document.prerendering && !document.hidden) {
    pressed = true;
    form.submit();
  }
}

document.addEventListener("prerenderingchange", press);
document.addEventListener("visibilitychange", press);
press();
