app.start();
